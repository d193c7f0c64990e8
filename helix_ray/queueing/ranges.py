"""A set of read indices that is mostly one long run: sorted, disjoint, half-open ranges."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class IndexRanges:
    """Indices from 0 to below 2**63. A gap takes 16 bytes, here and on its way to another process; an index takes none."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        """Of ``(start, end)`` pairs, end excluded, in any order, overlapping or not. Raises ValueError for a reversed one."""
        self._starts, self._ends = array("q"), array("q")
        for start, end in pairs:
            self.add_range(start, end)

    def add(self, index: int) -> bool:
        """Add one index; False when it was there already."""
        if index in self:
            return False
        self.add_range(index, index + 1)
        return True

    def add_range(self, start: int, end: int) -> None:
        """Add ``start <= index < end``, joining the ranges that it touches."""
        if start < 0 or end < start:
            raise ValueError(f"a range runs from 0 or more upwards, found ({start}, {end})")
        if start == end:
            return
        if not self._ends or start > self._ends[-1]:  # as most come: in order
            self._starts.append(start)
            self._ends.append(end)
            return
        first = bisect_left(self._ends, start)  # the first range that ends at or after start
        last = bisect_right(self._starts, end)  # one past the last range that begins at or before end
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = array("q", (start,))
        self._ends[first:last] = array("q", (end,))

    def first_missing(self, start: int) -> int:
        """The smallest index from ``start`` on that is not in the set."""
        at = bisect_right(self._starts, start) - 1
        return self._ends[at] if at >= 0 and start < self._ends[at] else start

    def __contains__(self, index: int) -> bool:
        return self.first_missing(index) != index

    def __len__(self) -> int:
        """The number of ranges."""
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))
