"""One VCF 4.3 file: bgzip-compressed, sorted, with its tabix index.

The contigs stand in the header, and with a contig per window they are known only when the last read was seen; so lines wait in
plain files beside the target until then.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pysam

from helix_ray.errors import InputError
from helix_ray.records import Read
from helix_ray.results.export.coordinates import Contig, Coordinates, Place

FIXED = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
CONTIG_NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""Section 1.4.7 of VCF 4.3."""
RESERVED = {ord(sign): f"%{ord(sign):02X}" for sign in ";=%,\t\r\n "}
"""What would break an INFO value (section 1.2)."""
_COPY_BYTES = 1 << 20


class VcfFile:
    """Lines of one file. Memory is bounded with a contig per window; otherwise every line is kept, to be sorted."""

    def __init__(self, path: Path, files: ExitStack, header: Sequence[str], samples: Sequence[str], coordinates: Coordinates) -> None:
        self.path = path
        self._header = header
        self._samples = "\t".join(samples)
        self._coordinates = coordinates
        self._contigs = _spool(path, files, "contigs")
        self._body = _spool(path, files, "body")
        self._unsorted: list[tuple[int, int, str]] = []
        for contig in coordinates.known_contigs():
            self.declare(contig)

    def declare(self, contig: Contig) -> None:
        """InputError: VCF has no way to write a contig of that name."""
        if not CONTIG_NAME.fullmatch(contig.name):
            raise InputError(f"contig '{contig.name}': VCF allows no such name; rename it in the reference, or leave the VCF formats out")
        self._contigs.write(f"##contig=<ID={contig.name},length={contig.length}>\n")

    def declare_of(self, read: Read) -> None:
        """Declares the contig that comes into being with a read, if one does."""
        contig = self._coordinates.contig_of(read)
        if contig is not None:
            self.declare(contig)

    def write(self, place: Place, pos: int, ref: str, alt: str, info: str, *, qual: str = ".", columns: str = "GT\t1") -> None:
        """A record; ``columns``: FORMAT and samples. ``pos`` is 1-based in the window. Within a window they come sorted."""
        at = place.start + pos
        line = f"{place.contig}\t{at}\t.\t{ref}\t{alt}\t{qual}\tPASS\t{info}\t{columns}\n"
        if self._coordinates.sorted_input:
            self._body.write(line)
        else:
            self._unsorted.append((place.rank, at, line))

    def close(self) -> list[Path]:
        """Puts the file together and indexes it."""
        self._unsorted.sort()
        self._body.writelines(line for *_, line in self._unsorted)
        with pysam.BGZFile(str(self.path), "wb", None) as out:
            out.write("".join(f"{line}\n" for line in ("##fileformat=VCFv4.3", *self._header)).encode())
            _pour(self._contigs, out)
            out.write(f"{FIXED}\t{self._samples}\n".encode())
            _pour(self._body, out)
        pysam.tabix_index(str(self.path), preset="vcf", force=True)
        return [self.path, self.path.with_name(f"{self.path.name}.tbi")]


def encoded(text: str) -> str:
    return text.translate(RESERVED)


def _spool(path: Path, files: ExitStack, name: str) -> IO[str]:
    return files.enter_context(path.with_name(f"{path.name}.{name}").open("w+", encoding="utf-8"))


def _pour(spool: IO[str], out: pysam.BGZFile) -> None:
    spool.flush()
    with Path(spool.name).open("rb") as source:
        shutil.copyfileobj(source, out, _COPY_BYTES)
    spool.close()
    Path(spool.name).unlink()
