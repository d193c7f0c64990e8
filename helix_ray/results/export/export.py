"""One export: reads or results go in, a folder of files with its manifest comes out, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict, TypeVar

from pysam.utils import SamtoolsError

from helix_ray import __version__
from helix_ray.config import Config, SourceKind
from helix_ray.errors import InputError
from helix_ray.records import Disposition, JsonObject, Read, ReadResult
from helix_ray.results.export.happy import HappyTables
from helix_ray.results.export.reads import Context, FastqFile, ReferenceCoordinates, ReferenceFasta, RegionsBed, WindowCoordinates
from helix_ray.results.export.records import SIMULATED, InvalidCalls, ReadsJsonl, ReadTally, ResultTally, VariantTable
from helix_ray.results.export.vcf import CallsVcf, ErrorsVcf, ScoredVcf, TruthVcf
from helix_ray.results.provenance import provenance
from helix_ray.storage.rows import as_made

FAITHFUL = frozenset({Disposition.UNPLACED, Disposition.FILTERED})
"""Endings before analysis that leave the read as its source gave it. A stored read has none; see `Ledger.read_reads`."""

MANIFEST = "manifest.json"  # what makes a folder an export, and so replaceable

# fmt: off
Manifest = TypedDict("Manifest", {  # noqa: UP013 (a table)
    "helix_throttle": str, "generator_version": str, "run_id": str | None, "seed": int, "coordinates": str, "simulated": bool,
    "counts": JsonObject, "results": JsonObject | None, "files": dict[str, dict[str, int | str]], "source_checksum": str | None,
    "status": str, "backend": str, "reads_requested": int | None, "versions": dict[str, str],  # of a run only, as earlier_configs
    "config_sha256": str, "config": JsonObject, "earlier_configs": list[JsonObject],
    "runs": list[JsonObject],  # of several runs: all of this of each
}, total=False)
# fmt: on

Item_contra = TypeVar("Item_contra", contravariant=True)


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


ROWS = (Format.CSV, Format.JSONL, Format.PARQUET)
"""Whose rows say of which run they are, so that several runs fit into one data set; of CSV that is variant_calls.csv."""


class Writer(Protocol[Item_contra]):
    """Of reads as their source made them, or of every result, those among them whose reads are left out elsewhere."""

    def add(self, item: Item_contra, /) -> None: ...

    def close(self) -> list[Path]:
        """Completes the files and names them."""


WRITERS: dict[Format, tuple[Callable[[Context], Writer[Read]], ...]] = {
    Format.TRUTH_VCF: (TruthVcf, ErrorsVcf),
    Format.FASTQ: (FastqFile,),
    Format.REFERENCE: (ReferenceFasta,),
    Format.BED: (RegionsBed,),
}


def _parquet(context: Context) -> Writer[ReadResult]:
    from helix_ray.results.export.parquet import ParquetTables  # noqa: PLC0415  (pyarrow takes 0.3 s that other commands need not wait for)

    return ParquetTables(context)


RESULT_WRITERS: dict[Format, tuple[Callable[[Context], Writer[ReadResult]], ...]] = {
    Format.CALLS_VCF: (CallsVcf, InvalidCalls),
    Format.GA4GH: (ScoredVcf,),
    Format.CSV: (HappyTables, VariantTable),
    Format.JSONL: (ReadsJsonl,),
    Format.PARQUET: (_parquet,),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the reads come from."""

    config: Config
    generator_version: str
    run_id: str | None = None  # None: straight from the configuration
    simulated: bool = False  # the run's answers are the emulator's
    source_checksum: str | None = None
    stored: Manifest | None = None  # what the ledger says of the run: status, its configuration as stored, and earlier ones


class Export:
    """Fills ``folder``; a context manager. InputError: a format asks for what these reads do not have."""

    def __init__(self, folder: Path, formats: Iterable[Format], *origins: Origin, on_reference: bool = False) -> None:
        """Several origins are runs, whose rows go into one data set; `begin` says whose rows come next."""
        self._folder = folder
        self._origin, self._origins = origins[0], origins
        source = self._origin.config.source
        self._formats = list(dict.fromkeys(formats))
        for origin in origins:
            self._check_formats(origin)
        if len(origins) > 1 and (alone := [kind for kind in self._formats if kind not in ROWS]):
            raise InputError(f"--format {', '.join(alone)}: is about one run; of several these can be had: {', '.join(ROWS)}")
        self._run: dict[str, Any] = {}
        if on_reference and source.reference is None:
            raise InputError("--coordinates reference: the windows were not cut from a reference (source.reference); use window")
        self._on_reference = on_reference
        self._tally = ReadTally()
        self._results = ResultTally()
        self._files = ExitStack()
        self._writers: list[Writer[Read]] = []
        self._result_writers: list[Writer[ReadResult]] = []

    def __enter__(self) -> Self:
        source = self._origin.config.source
        reference = source.reference if self._on_reference else None
        coordinates = WindowCoordinates() if reference is None else ReferenceCoordinates(Path(reference).expanduser())
        with ExitStack() as files:  # closes what was opened when a writer cannot be made
            simulated, name = self._origin.simulated, file_name(self._origin.config.run.name)
            context = Context(self._folder, files, coordinates, self._header(), simulated, self._about(), self._run, name)
            self.begin(self._origin)
            self._writers = [make(context) for kind in self._formats for make in WRITERS.get(kind, ())]
            makers = [make for kind in self._formats for make in RESULT_WRITERS.get(kind, ())]
            self._result_writers = [make(context) for make in makers if len(self._origins) == 1 or make is not HappyTables]
            self._files = files.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def begin(self, origin: Origin) -> None:
        """What is added from now on is of this run."""
        config = origin.stored["config"] if origin.stored else origin.config.public().model_dump(mode="json")
        backend = origin.config.analyzer.backend.value
        self._run.update(provenance(origin.run_id or "", origin.config.run.name, backend, config, simulated=origin.simulated))

    @property
    def needs_results(self) -> bool:
        """Whether some format holds what became of the reads: then `add_results` is to be used, not `add`."""
        return any(kind.needs_results for kind in self._formats)

    def add_results(self, results: Iterable[ReadResult]) -> None:
        """Finished reads in the order of their index."""
        for result in results:
            self.add([as_made(result)])
            self._results.add(result)
            for writer in self._result_writers:
                writer.add(result)

    def add(self, reads: Iterable[Read]) -> None:
        """Reads in the order of their index."""
        for read in reads:
            if read.disposition is not None and read.disposition not in FAITHFUL:
                self._tally.left_out(read)
                continue
            self._tally.add(read)
            for writer in self._writers:
                writer.add(read)

    def finish(self) -> Manifest:
        """Completes the files and writes the manifest, which is returned. InputError: there was nothing to export."""
        if not self._tally.reads and not self._results.reads:
            raise InputError("there is nothing to export: not one read has finished")
        files = [path for writer in self._writers for path in writer.close()]
        files += [path for writer in self._result_writers for path in writer.close()]
        manifest = self._manifest(files)
        (self._folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        return manifest

    def _check_formats(self, origin: Origin) -> None:
        config, of_run = origin.config, origin.run_id is not None
        fitting = Format.fitting(config, of_run=of_run)
        impossible = [kind for kind in self._formats if kind not in fitting]
        if not impossible:
            return
        asked, possible = ", ".join(impossible), ", ".join(fitting)
        why = "the true variants of reads from a file are not known"
        if not of_run and any(kind.needs_results for kind in impossible):
            why = "only a run has results (--run)"
        raise InputError(f"--format {asked}: {why}; these can be had: {possible}")

    def _about(self) -> dict[str, str]:
        ids, simulated = ",".join(origin.run_id or "" for origin in self._origins), any(origin.simulated for origin in self._origins)
        about = {"helix_throttle": __version__, "run_id": ids, "simulated": "true" if simulated else "false"}
        return about | ({"note": SIMULATED} if simulated else {})

    def _header(self) -> list[str]:
        origin = self._origin
        run = "" if origin.run_id is None else f" run={origin.run_id}"
        lines = [f"##source=helix-throttle {__version__} generator={origin.generator_version} seed={origin.config.run.seed}{run}"]
        if Format.REFERENCE in self._formats:
            lines.append("##reference=reference.fa")
        return lines

    def _manifest(self, files: list[Path]) -> Manifest:
        origin, config = self._origin, self._origin.config
        stored: Manifest = origin.stored or {"config_sha256": config.sha256(), "config": config.public().model_dump(mode="json")}
        return {
            "helix_throttle": __version__,
            "generator_version": origin.generator_version,
            "run_id": origin.run_id if len(self._origins) == 1 else None,
            "seed": config.run.seed,
            "coordinates": "reference" if self._on_reference else "window",
            "simulated": any(it.simulated for it in self._origins),
            "counts": self._tally.to_json(),
            "results": self._results.to_json() if self.needs_results else None,
            "files": {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files},
            "source_checksum": origin.source_checksum,
            **stored,
            **({"runs": [{"run_id": it.run_id, **(it.stored or {})} for it in self._origins]} if len(self._origins) > 1 else {}),
        }


def file_name(run: str) -> str:
    """The name of a run as part of a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", run).strip(".") or "run"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """A folder to fill beside ``target``; at the end of the block it takes that name, unless the block raised.

    With ``force`` an earlier export is replaced, and nothing else: it goes only when its successor stands. InputError:
    ``target`` holds something that may not be replaced, or writing failed.
    """
    target = target.absolute()
    _check(target, force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None
    try:
        part.chmod(0o755)  # mkdtemp's 0700 is for secrets
        yield part
        _put(part, target)
    except (OSError, SamtoolsError) as error:
        raise InputError(f"{target}: writing failed ({error}); nothing was left behind: is the disk full?") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)  # gone already when all went well


def _check(target: Path, force: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is a {'link' if target.is_symlink() else 'file'}; an export is a folder, so name another place")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not force:
        raise InputError(f"{target}: is not empty; pass --force to replace an earlier export, or name another folder with --output")
    if not (target / MANIFEST).is_file() or target in (Path.cwd(), *Path.cwd().parents):
        raise InputError(f"{target}: is not an earlier export (it holds no {MANIFEST}), so it is not replaced; name another folder")


def _put(part: Path, target: Path) -> None:
    if not target.exists():
        part.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / target.name)
    part.rename(target)
    shutil.rmtree(old)
