"""Reads from the seeded generator: random access, any number of producers, endless if wanted."""

from __future__ import annotations

from pathlib import Path

from helix_ray.config import Config
from helix_ray.records import ReadBatch
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
        packed = extension.packed_reads(self._seed, self._mutation, start, end - start, self._genome)
        return ReadBatch(list(range(start, end)), packed)
