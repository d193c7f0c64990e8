"""Reads from the seeded generator: random access, any number of producers, endless if wanted."""

from __future__ import annotations

from pathlib import Path

from helix_ray.config import Config
from helix_ray.records import ReadBatch, Variant
from helix_ray.sources import extension
from helix_ray.sources.files import regular_file


class SyntheticSource:
    """Read i is a pure function of the seed, ``source.mutation``, the generator's version, i and, if set, the reference.

    Its window is random and a contig of its own, ``hx{i}``; with ``source.reference`` it is drawn from that file, uniformly over
    all stretches of A, C, G and T.
    """

    def __init__(self, config: Config) -> None:
        """InputError: the reference is no FASTA file, or holds no window of ``read_length`` bases."""
        extension.require()
        source = config.source
        self.total = source.count
        self._batch_size = source.batch_size
        self._seed = config.run.seed
        self._mutation = source.mutation.to_generator_json()
        reference = None if source.reference is None else regular_file(Path(source.reference).expanduser())
        self._genome = None if reference is None else extension.open_genome(reference)

    def block(self, index: int) -> ReadBatch | None:
        """Block ``index``, in any order."""
        start = index * self._batch_size
        end = start + self._batch_size
        if self.total is not None:
            end = min(end, self.total)
        if start >= end:
            return None
        size = end - start
        made = extension.generate(self._seed, self._mutation, start, size, self._genome)
        return ReadBatch(
            read_index=list(range(start, end)),
            read_id=[f"hx{i}" for i in range(start, end)],
            contig=made.contig,
            ref_start=made.ref_start,
            strand=made.strand,
            ref_seq=made.ref_seq,
            seq=made.seq,
            qual=made.qual,
            truth=[tuple(map(Variant._make, variants)) for variants in made.truth],
            identifiable=list(made.identifiable),
            strata=_strata(made),
            disposition=[None] * size,
            reason=[None] * size,
            source=["synthetic"] * size,
            errors=[tuple(map(Variant._make, variants)) for variants in made.errors],
            checksum=list(made.checksum),
        )


def _strata(made: extension.Generated) -> list[dict[str, float] | None]:
    """The numbers by which results are broken down; ``min_gap`` (bases) only with two variants or more."""
    names = ("gc", "max_homopolymer", "max_str", "n_truth", "length", "min_gap")
    columns = (made.gc, made.max_homopolymer, made.max_str, map(len, made.truth), map(len, made.seq), made.min_gap)
    rows = zip(*columns, strict=True)
    return [{name: float(value) for name, value in zip(names, row, strict=True) if value is not None} for row in rows]
