"""Where reads come from: the generator, sequence files, pairs. Reads by index, the same at every call."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from helix_ray.config import Config, SourceConfig, SourceKind
from helix_ray.errors import InputError
from helix_ray.sources import extension
from helix_ray.sources.copying import copied, is_stream
from helix_ray.sources.extension import version as generator_version
from helix_ray.sources.fastx import FastxCursor, check_fastx
from helix_ray.sources.files import checksum_of, regular_file, sha256_of
from helix_ray.sources.pairs import PairsCursor, check_pairs
from helix_ray.sources.source import ForwardSource, Source
from helix_ray.sources.synthetic import SyntheticSource

__all__ = ["Source", "check_source", "copied", "generator_version", "is_stream", "make_source"]


def make_source(config: Config) -> Source:
    """The source that the configuration names. InputError: a file or the reference cannot be used."""
    source = config.source
    if source.kind is SourceKind.SYNTHETIC:
        return SyntheticSource(config)
    path, reference = _files(source)
    if reference is None:
        return ForwardSource(path, source.batch_size, source.count, partial(PairsCursor, source, path))
    regular_file(path)
    placer = extension.open_placer(reference, ambiguous_as_n=source.iupac == "n")
    return ForwardSource(path, source.batch_size, source.count, partial(FastxCursor, source, path, placer))


def check_source(config: Config) -> str | None:
    """Checks before the start that reads can be made, and returns the SHA-256 of every file that decides them; None: there is none.

    Opens every file, reads the first record and a reference of up to 64 MiB whole (one for synthetic windows of any size), and
    takes the checksums: some seconds for a large file. InputError says what cannot be used, StartError that the extension is
    missing.
    """
    extension.require()
    source = config.source
    if source.kind is SourceKind.SYNTHETIC:
        first = SyntheticSource(config).block(0)
        assert first is not None, "count is at least 1"
        return None if source.reference is None else sha256_of(Path(source.reference).expanduser())
    path, reference = _files(source)
    regular_file(path)
    if reference is None:
        check_pairs(source, path)
    else:
        check_fastx(source, path, reference)
    return checksum_of(path, reference)


def _files(source: SourceConfig) -> tuple[Path, Path | None]:
    """The reads' file and, for the kinds that need one, the reference."""
    if source.path is None:
        raise InputError(f"source.path: source.kind {source.kind.value} needs the file to read")
    path = Path(source.path).expanduser()
    return path, None if source.reference is None else Path(source.reference).expanduser()
