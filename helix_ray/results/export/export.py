"""One export: reads or results go in, a folder of files with its manifest comes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from helix_ray import __version__
from helix_ray.config import Config
from helix_ray.errors import InputError
from helix_ray.records import Disposition, JsonObject, Read, ReadResult
from helix_ray.results.export.coordinates import ReferenceCoordinates, WindowCoordinates
from helix_ray.results.export.folder import MANIFEST
from helix_ray.results.export.formats import RESULT_WRITERS, WRITERS, Context, Format, ResultWriter, Writer
from helix_ray.results.export.record import SIMULATED
from helix_ray.results.export.tally import ResultTally, Tally
from helix_ray.storage.rows import as_made

FAITHFUL = frozenset({Disposition.UNPLACED, Disposition.FILTERED})
"""Endings before analysis that leave the read as its source gave it. A stored read has none; see `Ledger.read_reads`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the reads come from."""

    config: Config
    generator_version: str
    run_id: str | None = None  # None: straight from the configuration
    simulated: bool = False  # the run's answers are the emulator's
    source_checksum: str | None = None
    stored: JsonObject | None = None  # what the ledger says of the run: status, its configuration as stored, and earlier ones


class Export:
    """Fills ``folder``; a context manager. InputError: a format asks for what these reads do not have."""

    def __init__(self, folder: Path, formats: Iterable[Format], origin: Origin, *, on_reference: bool = False) -> None:
        self._folder = folder
        self._origin = origin
        source = origin.config.source
        self._formats = list(dict.fromkeys(formats))
        self._check_formats()
        if on_reference and source.reference is None:
            raise InputError("--coordinates reference: the windows were not cut from a reference (source.reference); use window")
        self._on_reference = on_reference
        self._tally = Tally()
        self._results = ResultTally()
        self._files = ExitStack()
        self._writers: list[Writer] = []
        self._result_writers: list[ResultWriter] = []

    def __enter__(self) -> Self:
        source = self._origin.config.source
        on_reference = self._on_reference and source.reference is not None
        coordinates = ReferenceCoordinates(Path(str(source.reference)).expanduser()) if on_reference else WindowCoordinates()
        with ExitStack() as files:  # closes what was opened when a writer cannot be made
            simulated = self._origin.simulated
            context = Context(self._folder, files, coordinates, self._header(), source.mutation.flank, simulated, self._about())
            self._writers = [WRITERS[kind](context) for kind in self._formats if not kind.needs_results]
            self._result_writers = [make(context) for kind in self._formats for make in RESULT_WRITERS.get(kind, ())]
            self._files = files.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

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

    @property
    def reads(self) -> int:
        return self._tally.reads

    def finish(self) -> JsonObject:
        """Completes the files and writes the manifest, which is returned. InputError: there was nothing to export."""
        if not self._tally.reads and not self._results.reads:
            raise InputError("there is nothing to export: not one read has finished")
        files = [path for writer in self._writers for path in writer.close()]
        files += [path for writer in self._result_writers for path in writer.close()]
        manifest = self._manifest(files)
        (self._folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        return manifest

    def _check_formats(self) -> None:
        config, of_run = self._origin.config, self._origin.run_id is not None
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
        origin = self._origin
        about = {"helix_throttle": __version__, "run_id": origin.run_id or "", "simulated": "true" if origin.simulated else "false"}
        return about | ({"note": SIMULATED} if origin.simulated else {})

    def _header(self) -> list[str]:
        origin = self._origin
        run = "" if origin.run_id is None else f" run={origin.run_id}"
        lines = [f"##source=helix-throttle {__version__} generator={origin.generator_version} seed={origin.config.run.seed}{run}"]
        if Format.REFERENCE in self._formats:
            lines.append("##reference=reference.fa")
        return lines

    def _manifest(self, files: list[Path]) -> JsonObject:
        origin = self._origin
        return {
            "helix_throttle": __version__,
            "generator_version": origin.generator_version,
            "run_id": origin.run_id,
            "seed": origin.config.run.seed,
            "coordinates": "reference" if self._on_reference else "window",
            "simulated": origin.simulated,
            "counts": self._tally.to_json(),
            "results": self._results.to_json() if self.needs_results else None,
            "files": {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files},
            "source_checksum": origin.source_checksum,
            **(origin.stored or {"config_sha256": origin.config.sha256(), "config": origin.config.model_dump(mode="json")}),
        }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
