"""``regions.bed``: where the truth is complete and can be told apart from the ends of a window."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from helix_ray.records import Read
from helix_ray.results.export.coordinates import Coordinates


class RegionsBed:
    """The interior of each window with a known truth, without ``flank`` bases at either end; 0-based, half-open."""

    def __init__(self, folder: Path, files: ExitStack, coordinates: Coordinates, flank: int) -> None:
        self._path = folder / "regions.bed"
        self._out = files.enter_context(self._path.open("w", encoding="utf-8"))
        self._coordinates = coordinates
        self._flank = flank
        self._unsorted: list[tuple[int, int, str]] = []

    def add(self, read: Read) -> None:
        if read.truth is None or len(read.ref_seq) <= 2 * self._flank:
            return
        place = self._coordinates.place(read)
        start, end = place.start + self._flank, place.start + len(read.ref_seq) - self._flank
        line = f"{place.contig}\t{start}\t{end}\t{read.read_id}\n"
        if self._coordinates.sorted_input:
            self._out.write(line)
        else:
            self._unsorted.append((place.rank, start, line))

    def close(self) -> list[Path]:
        self._unsorted.sort()
        self._out.writelines(line for *_, line in self._unsorted)
        self._out.close()
        return [self._path]
