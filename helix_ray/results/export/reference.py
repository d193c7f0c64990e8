"""``reference.fa`` with its index: the contigs on which the exported positions lie."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pysam

from helix_ray.records import Read
from helix_ray.results.export.coordinates import ReferenceCoordinates, WindowCoordinates, read_contigs, window_name

LINE_BASES = 80


class ReferenceFasta:
    """Each window as a contig, or a copy of the reference in upper case."""

    def __init__(self, folder: Path, files: ExitStack, coordinates: WindowCoordinates | ReferenceCoordinates) -> None:
        self._path = folder / "reference.fa"
        self._out = files.enter_context(self._path.open("w", encoding="utf-8"))
        self._windows = isinstance(coordinates, WindowCoordinates)
        if isinstance(coordinates, ReferenceCoordinates):
            for name, _, bases in read_contigs(coordinates.reference):
                self._write(name, bases)

    def add(self, read: Read) -> None:
        if self._windows and read.ref_seq:
            cut = "" if read.contig == window_name(read) else f" {read.contig}:{read.ref_start + 1}-{read.ref_start + len(read.ref_seq)}"
            self._write(f"{window_name(read)}{cut}", read.ref_seq)

    def close(self) -> list[Path]:
        self._out.close()
        pysam.faidx(str(self._path))
        return [self._path, self._path.with_name("reference.fa.fai")]

    def _write(self, header: str, bases: str) -> None:
        self._out.write(f">{header}\n")
        self._out.writelines(f"{bases[at : at + LINE_BASES]}\n" for at in range(0, len(bases), LINE_BASES))
