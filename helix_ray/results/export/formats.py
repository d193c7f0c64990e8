"""The formats that can be asked for, and the files that each of them is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from helix_ray.config import Config, SourceKind
from helix_ray.records import Read, ReadResult
from helix_ray.results.export.bed import RegionsBed
from helix_ray.results.export.calls import CallsVcf
from helix_ray.results.export.coordinates import ReferenceCoordinates, WindowCoordinates
from helix_ray.results.export.fastq import FastqFile
from helix_ray.results.export.happy import HappyTables
from helix_ray.results.export.jsonl import InvalidCalls, ReadsJsonl
from helix_ray.results.export.reference import ReferenceFasta
from helix_ray.results.export.scored import ScoredVcf
from helix_ray.results.export.truth import TruthVcf
from helix_ray.results.export.variant_table import VariantTable


class Format(StrEnum):
    TRUTH_VCF = "truth-vcf"
    FASTQ = "fastq"
    REFERENCE = "reference"
    BED = "bed"
    CALLS_VCF = "calls-vcf"
    GA4GH = "ga4gh"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"

    @property
    def needs_truth(self) -> bool:
        return self in (Format.TRUTH_VCF, Format.BED, Format.GA4GH, Format.CSV)

    @property
    def needs_results(self) -> bool:
        return self in RESULT_WRITERS

    @classmethod
    def fitting(cls, config: Config, *, of_run: bool = False) -> list[Format]:
        """All formats that the reads of this configuration have the data for; of a run that analysed them, its results too."""
        known = config.source.kind is SourceKind.SYNTHETIC
        return [kind for kind in cls if (known or not kind.needs_truth) and (of_run or not kind.needs_results)]


@dataclass(frozen=True, slots=True)
class Context:
    """What the writers of one export share."""

    folder: Path
    files: ExitStack  # closes what writers opened, however the export ends
    coordinates: WindowCoordinates | ReferenceCoordinates
    header: list[str]  # VCF header lines that say where it comes from
    flank: int  # bases
    simulated: bool  # the answers are the emulator's
    about: dict[str, str]  # where it comes from, for the metadata of files that have some


class Writer(Protocol):
    """Of what the source made."""

    def add(self, read: Read) -> None: ...

    def close(self) -> list[Path]:
        """Completes the files and names them."""


class ResultWriter(Protocol):
    """Of what became of it."""

    def add(self, result: ReadResult) -> None:
        """Every result of the run, those among them whose reads are left out elsewhere."""

    def close(self) -> list[Path]:
        """As `Writer.close`."""


WRITERS: dict[Format, Callable[[Context], Writer]] = {
    Format.TRUTH_VCF: lambda c: TruthVcf(c.folder, c.files, c.coordinates, c.header),
    Format.FASTQ: lambda c: FastqFile(c.folder, c.files),
    Format.REFERENCE: lambda c: ReferenceFasta(c.folder, c.files, c.coordinates),
    Format.BED: lambda c: RegionsBed(c.folder, c.files, c.coordinates, c.flank),
}


def _parquet(context: Context) -> ResultWriter:
    from helix_ray.results.export.parquet import ParquetTables  # noqa: PLC0415  (pyarrow takes 0.3 s that other commands need not wait for)

    return ParquetTables(context.folder, context.files, context.simulated, context.about)


RESULT_WRITERS: dict[Format, tuple[Callable[[Context], ResultWriter], ...]] = {
    Format.CALLS_VCF: (
        lambda c: CallsVcf(c.folder, c.files, c.coordinates, c.header, c.simulated),
        lambda c: InvalidCalls(c.folder, c.files, c.simulated),
    ),
    Format.GA4GH: (lambda c: ScoredVcf(c.folder, c.files, c.coordinates, c.header, c.simulated),),
    Format.CSV: (
        lambda c: HappyTables(c.folder, c.simulated),
        lambda c: VariantTable(c.folder, c.files, c.simulated),
    ),
    Format.JSONL: (lambda c: ReadsJsonl(c.folder, c.files, c.simulated),),
    Format.PARQUET: (_parquet,),
}
