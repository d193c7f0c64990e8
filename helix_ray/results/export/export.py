"""One export: reads go in, a folder of files with its manifest comes out."""

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
from helix_ray.records import Disposition, JsonObject, Read
from helix_ray.results.export.coordinates import ReferenceCoordinates, WindowCoordinates
from helix_ray.results.export.folder import MANIFEST
from helix_ray.results.export.formats import WRITERS, Context, Format, Writer
from helix_ray.results.export.tally import Tally

FAITHFUL = frozenset({Disposition.UNPLACED, Disposition.FILTERED})
"""Endings before analysis that leave the read as its source gave it. A stored read has none; see `Ledger.read_reads`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the reads come from."""

    config: Config
    generator_version: str
    run_id: str | None = None  # None: straight from the configuration
    source_checksum: str | None = None
    stored: JsonObject | None = None  # what the ledger says of the run: status, its configuration as stored, and earlier ones


class Export:
    """Fills ``folder``; a context manager. InputError: a format asks for what these reads do not have."""

    def __init__(self, folder: Path, formats: Iterable[Format], origin: Origin, *, on_reference: bool = False) -> None:
        self._folder = folder
        self._origin = origin
        source = origin.config.source
        self._formats = list(dict.fromkeys(formats))
        fitting = Format.fitting(origin.config)
        if impossible := [kind.value for kind in self._formats if kind not in fitting]:
            asked, possible = ", ".join(impossible), ", ".join(fitting)
            raise InputError(f"--format {asked}: the true variants of reads from a file are not known; these can be had: {possible}")
        if on_reference and source.reference is None:
            raise InputError("--coordinates reference: the windows were not cut from a reference (source.reference); use window")
        self._on_reference = on_reference
        self._tally = Tally()
        self._files = ExitStack()
        self._writers: list[Writer] = []

    def __enter__(self) -> Self:
        source = self._origin.config.source
        on_reference = self._on_reference and source.reference is not None
        coordinates = ReferenceCoordinates(Path(str(source.reference)).expanduser()) if on_reference else WindowCoordinates()
        with ExitStack() as files:  # closes what was opened when a writer cannot be made
            context = Context(self._folder, files, coordinates, self._header(), source.mutation.flank)
            self._writers = [WRITERS[kind](context) for kind in self._formats]
            self._files = files.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

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
        if not self._tally.reads:
            raise InputError("there is nothing to export: not one read has finished")
        files = [path for writer in self._writers for path in writer.close()]
        manifest = self._manifest(files)
        (self._folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        return manifest

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
            "counts": self._tally.to_json(),
            "files": {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files},
            "source_checksum": origin.source_checksum,
            **(origin.stored or {"config_sha256": origin.config.sha256(), "config": origin.config.model_dump(mode="json")}),
        }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
