"""A source that serves reads from a list, and can be told to fail."""

from collections.abc import Sequence

from helix_ray.errors import InputError
from helix_ray.records import Read, ReadBatch


def sample_read(index: int) -> Read:
    """A clean read whose content depends on its index alone."""
    base = "ACGT"[index % 4]
    return Read(index, f"hx{index}", "test", 0, "+", base * 10, base * 10, None, (), True, None, None, None)


def sample_reads(count: int, start: int = 0) -> list[Read]:
    return [sample_read(index) for index in range(start, start + count)]


class ListSource:
    """Block b holds the reads b * batch_size to (b + 1) * batch_size of the list, as a source of files or numbers would."""

    def __init__(self, reads: Sequence[Read], batch_size: int, *, sized: bool = True, fail_at_block: int | None = None) -> None:
        """``sized=False``: the total is known only at the end, as with files. Block ``fail_at_block`` raises InputError."""
        self.total: int | None = len(reads) if sized else None
        self.checksum: str | None = None
        self.asked: list[int] = []  # blocks, in the order in which they were asked for
        self._reads = list(reads)
        self._batch_size = batch_size
        self._fail_at_block = fail_at_block

    def block(self, index: int) -> ReadBatch | None:
        self.asked.append(index)
        if index == self._fail_at_block:
            raise InputError(f"list source: block {index} is broken, as asked for")
        rows = self._reads[index * self._batch_size : (index + 1) * self._batch_size]
        if not rows:
            self.total = len(self._reads)
            return None
        return ReadBatch.from_rows(rows)
