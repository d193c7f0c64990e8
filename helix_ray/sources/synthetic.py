"""Reads from the seeded generator: random access, any number of producers, endless if wanted."""

from __future__ import annotations

from helix_ray.config import Config
from helix_ray.records import ReadBatch, Variant
from helix_ray.sources import extension


class SyntheticSource:
    """Read i is a pure function of the seed, ``source.mutation``, the generator's version and i."""

    def __init__(self, config: Config) -> None:
        extension.require()
        self.total = config.source.count
        self._batch_size = config.source.batch_size
        self._seed = config.run.seed
        self._mutation = config.source.mutation.model_dump_json()

    @property
    def checksum(self) -> None:
        """There is no file."""
        return

    def block(self, index: int) -> ReadBatch | None:
        """Block ``index``, whatever was asked before."""
        start = index * self._batch_size
        end = start + self._batch_size
        if self.total is not None:
            end = min(end, self.total)
        if start >= end:
            return None
        windows, seqs, truths, identifiable, gc, homopolymers = extension.generate(self._seed, self._mutation, start, end - start)
        size = end - start
        names = [f"hx{i}" for i in range(start, end)]
        return ReadBatch(
            read_index=list(range(start, end)),
            read_id=names,
            contig=list(names),  # each window is a contig of its own
            ref_start=[0] * size,
            strand=["+"] * size,
            ref_seq=windows,
            seq=seqs,
            qual=[None] * size,
            truth=[tuple(map(Variant._make, variants)) for variants in truths],
            identifiable=list(identifiable),
            strata=[{"gc": g, "max_homopolymer": float(h)} for g, h in zip(gc, homopolymers, strict=True)],
            disposition=[None] * size,
            reason=[None] * size,
        )
