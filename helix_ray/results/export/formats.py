"""The formats that can be asked for, and the files that each of them is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from helix_ray.config import Config, SourceKind
from helix_ray.records import Read
from helix_ray.results.export.bed import RegionsBed
from helix_ray.results.export.coordinates import ReferenceCoordinates, WindowCoordinates
from helix_ray.results.export.fastq import FastqFile
from helix_ray.results.export.reference import ReferenceFasta
from helix_ray.results.export.truth import TruthVcf


class Format(StrEnum):
    TRUTH_VCF = "truth-vcf"
    FASTQ = "fastq"
    REFERENCE = "reference"
    BED = "bed"

    @property
    def needs_truth(self) -> bool:
        return self in (Format.TRUTH_VCF, Format.BED)

    @classmethod
    def fitting(cls, config: Config) -> list[Format]:
        """All formats that the reads of this configuration have the data for."""
        known = config.source.kind is SourceKind.SYNTHETIC
        return [kind for kind in cls if known or not kind.needs_truth]


@dataclass(frozen=True, slots=True)
class Context:
    """What the writers of one export share."""

    folder: Path
    files: ExitStack  # closes what writers opened, however the export ends
    coordinates: WindowCoordinates | ReferenceCoordinates
    header: list[str]  # VCF header lines that say where it comes from
    flank: int  # bases


class Writer(Protocol):
    def add(self, read: Read) -> None: ...

    def close(self) -> list[Path]:
        """Completes the files and names them."""


WRITERS: dict[Format, Callable[[Context], Writer]] = {
    Format.TRUTH_VCF: lambda c: TruthVcf(c.folder, c.files, c.coordinates, c.header),
    Format.FASTQ: lambda c: FastqFile(c.folder, c.files),
    Format.REFERENCE: lambda c: ReferenceFasta(c.folder, c.files, c.coordinates),
    Format.BED: lambda c: RegionsBed(c.folder, c.files, c.coordinates, c.flank),
}
