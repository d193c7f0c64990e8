r"""The formats of a file of pairs: TSV, JSON lines or FASTA, plain or compressed, told apart by the first line.

    { [      {"id": "r1", "window": "ACGT", "read": "ACGA"}, each key once
    >        two records a pair, the window first; both begin with the same id, or with ID/window and ID/read
    other    also where the second and third column are bases: id<TAB>window<TAB>read, with or without that header, which may begin with #

TSV and JSON lines are UTF-8, their blank lines are passed over. Bases are read in any case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from helix_ray.errors import InputError
from helix_ray.sources import extension

MAX_LINE_BYTES = 1024 * 1024
IUPAC = frozenset("ACGTNURYSWKMBDHV")
FIELDS = ("id", "window", "read")


class Pair(NamedTuple):
    """Upper-case nucleotide codes; a sequence above the bases to keep may be left out, its length not."""

    read_id: str
    window: str
    read: str
    window_bases: int
    read_bases: int


class Parsed(NamedTuple):
    """One pair, or why it is none."""

    line: int  # on which it begins, from 1
    pair: Pair | None
    problem: str | None


class ProblemError(Exception):
    """What is wrong with a pair; caught in this module."""


class MismatchError(ProblemError):
    """Two records that should be a pair have different ids."""


def pairs_of(path: Path, keep_bases: int) -> Iterator[Parsed]:
    """Opens a file of pairs. InputError: it cannot be opened, or is FASTQ; later: it cannot be read on."""
    first = extension.input_errors()(extension.open_lines(path, MAX_LINE_BYTES).read)()
    line = b"" if first is None else first[1]
    columns = line.decode("utf-8", "replace").upper().split("\t")
    is_tsv = len(columns) == len(FIELDS) and IUPAC.issuperset(columns[1] + columns[2])  # whatever the id begins with
    if line.startswith(b"@") and not is_tsv:
        raise InputError(f"{path}: begins as FASTQ does; pairs are TSV, JSON lines or FASTA, see docs/input.md")
    if line.startswith(b">") and not is_tsv:
        return _fasta(path, keep_bases)
    is_json = line.startswith((b"{", b"[")) and not is_tsv
    read = extension.open_lines(path, MAX_LINE_BYTES).read
    return _each_line(read, _parse_json if is_json else _parse_tsv, header=not is_json)


def _each_line(read: Callable[[], tuple[int, bytes] | None], parse: Callable[[str], Pair], *, header: bool) -> Iterator[Parsed]:
    for number, raw in iter(extension.input_errors()(read), None):
        is_header = header and _cells(raw) == FIELDS
        header = False  # only the first line may be one
        if is_header:
            continue
        try:
            yield Parsed(number, parse(raw.decode("utf-8")), None)
        except UnicodeDecodeError as error:
            yield Parsed(number, None, f"byte {error.start + 1} of the line is not UTF-8")
        except ProblemError as error:
            yield Parsed(number, None, str(error))


def _cells(raw: bytes) -> tuple[str, ...]:
    """The columns of a header, which many tools begin with ``#``."""
    return tuple(cell.strip() for cell in raw.decode("utf-8", "replace").lower().lstrip("# ").split("\t"))


def _parse_tsv(line: str) -> Pair:
    fields = line.split("\t")
    if len(fields) != len(FIELDS):
        raise ProblemError(f"{len(fields)} columns separated by tabs; expected 3: id, window, read")
    return _pair(fields[0], fields[1].strip(" "), fields[2].strip(" "))


def _parse_json(line: str) -> Pair:
    try:
        value = json.loads(line, object_pairs_hook=_each_key_once)
    except ValueError as error:
        raise ProblemError(f"not JSON: {error}") from None
    except RecursionError:
        raise ProblemError("not a pair: nested too deeply") from None
    if not isinstance(value, dict) or set(value) != set(FIELDS) or not all(isinstance(value[key], str) for key in FIELDS):
        raise ProblemError('expected {"id": text, "window": bases, "read": bases} and no other key')
    return _pair(*(value[key] for key in FIELDS))


def _each_key_once(items: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(items)
    if len(value) < len(items):
        raise ProblemError("a key appears twice")
    return value


def _pair(read_id: str, window: str, read: str) -> Pair:
    read_id = read_id.strip()
    if not read_id or len(read_id) > 200 or not read_id.isprintable():
        raise ProblemError("the id must be 1 to 200 printable characters")
    window, read = _bases("window", window), _bases("read", read)
    return Pair(read_id, window, read, len(window), len(read))


def _bases(name: str, text: str) -> str:
    """Upper-case nucleotide codes, at least one."""
    if not text:
        raise ProblemError(f"the {name} is empty")
    for place, base in enumerate(text, 1):
        # Letter by letter: str.upper() makes two letters of one, and bases of letters that are none.
        if not base.isascii() or base.upper() not in IUPAC:
            raise ProblemError(f"base {place} of the {name} is {base!r}, not a nucleotide code")
    return text.upper()


def _fasta(path: Path, keep_bases: int) -> Iterator[Parsed]:
    reader = extension.open_reader(path, "fasta", keep_bases, refuse_mates=False)
    return _each_two(path, partial(extension.records, reader, 2))


def _each_two(path: Path, two: Callable[[], list[extension.Record]]) -> Iterator[Parsed]:
    """InputError after two pairs in a row whose ids differ: then it is not known which records are pairs."""
    mismatches = 0
    while records := two():
        first = records[0]
        try:
            parsed = Parsed(first.line, _two_records(records), None)
            mismatches = 0
        except ProblemError as error:
            mismatches = mismatches + 1 if isinstance(error, MismatchError) else 0
            if mismatches > 1:
                raise InputError(
                    f"{path}: record {first.ordinal + 1} (line {first.line}): again the ids of a pair differ: "
                    "which records are pairs is lost; mend the file"
                ) from None
            parsed = Parsed(first.line, None, str(error))
        yield parsed


def _two_records(records: list[extension.Record]) -> Pair:
    if len(records) == 1:
        raise ProblemError("the window has no read behind it: a pair is two records")
    window, read = records
    for name, record in (("window", window), ("read", read)):
        if record.problem is not None:
            raise ProblemError(f"the {name}: {record.problem}")
    read_id = window.name.removesuffix("/window")
    if read_id != read.name.removesuffix("/read"):
        raise MismatchError(f"the ids of a pair must be the same, found '{window.name}' and '{read.name}'")
    for name, value in (("id", read_id), ("window", window.length), ("read", read.length)):
        if not value:
            raise ProblemError(f"the {name} is empty")
    return Pair(read_id, window.seq, read.seq, window.length, read.length)
