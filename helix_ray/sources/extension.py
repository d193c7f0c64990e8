"""The border to the compiled extension: the one place that imports it and that translates its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helix_ray.errors import InputError, StartError

try:
    from helix_ray import _rust_gen
except ImportError as error:
    _missing: ImportError | None = error
else:
    _missing = None

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""Of one record of a reads file: no read is longer, and a file without line ends must not fill the memory."""

Generated = tuple[list[str], list[str], list[list[tuple[int, str, str, str, str]]], list[bool], list[float], list[int]]


def require() -> None:
    """StartError when the extension is not there. Nothing ever takes its place."""
    if _missing is not None:
        raise StartError(f"the Rust extension is not built: run `make demo` or `pip install .` ({_missing})")


def version() -> str:
    require()
    return str(_rust_gen.GENERATOR_VERSION)


def generate(seed: int, config_json: str, start: int, count: int) -> Generated:
    """Synthetic records as columns; InputError when the mutation model cannot be used."""
    require()
    try:
        return _rust_gen.generate(seed, config_json, start, count)
    except ValueError as error:
        raise InputError(f"source.mutation: {error}") from None


def open_reader(path: Path, kind: str, keep_bases: int, max_record_bytes: int = MAX_RECORD_BYTES) -> _rust_gen.FastxReader:
    require()
    with input_errors():
        return _rust_gen.FastxReader(path, kind, max_record_bytes, keep_bases)


def open_placer(reference: Path) -> _rust_gen.Placer:
    """Loads a reference and indexes it: takes some 10 bytes of memory and 0.1 microseconds a base."""
    require()
    with input_errors():
        return _rust_gen.Placer(reference)


def first_contig(reference: Path) -> None:
    """Reads as much of a reference as shows that it is one."""
    require()
    with input_errors():
        *_, problems = _rust_gen.FastxReader(reference, "fasta", 2**63, 0).read(1)
    if problems[0] is not None:
        raise InputError(f"{reference}: record 1: {problems[0]}")


@contextmanager
def input_errors() -> Iterator[None]:
    """Turns the extension's error into ours; its message is whole already."""
    try:
        yield
    except _rust_gen.InputFileError as error:
        raise InputError(error.args[0]) from None
