r"""Pairs of a window and a read, already matched by the user: TSV or JSON lines, chosen by the file's ending.

    .tsv .txt   id<TAB>window<TAB>read, with or without that header
    .jsonl      {"id": "r1", "window": "ACGT", "read": "ACGA"}

UTF-8; blank lines are passed over. Bases are read in any case. Codes other than A, C, G, T, N give ``filtered``/``iupac``,
sequences longer than ``source.max_read_length`` ``filtered``/``too_long``, anything else that is wrong ``malformed``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

from helix_ray.config import SourceConfig, SourceKind
from helix_ray.errors import InputError
from helix_ray.records import Disposition, Read
from helix_ray.sources.extension import checksum
from helix_ray.sources.fastx import malformed
from helix_ray.sources.files import regular_file
from helix_ray.sources.rows import unanalysed

MAX_LINE_BYTES = 1024 * 1024
SUFFIXES = (".tsv", ".txt", ".jsonl")
PLAIN = frozenset("ACGTN")
IUPAC = frozenset("ACGTNURYSWKMBDHV")
PAIRS = SourceKind.PAIRS.value
FIELDS = ("id", "window", "read")


class _ProblemError(Exception):
    """What is wrong with a line; never leaves this module."""


class PairsCursor:
    """An open pairs file."""

    def __init__(self, config: SourceConfig, path: Path) -> None:
        """InputError: the file cannot be opened, or its ending names neither format."""
        if path.suffix not in SUFFIXES:
            raise InputError(f"{path}: the file's ending says how it is read; allowed are {', '.join(SUFFIXES)}")
        self._config = config
        self._path = path
        self._parse = _parse_json if path.suffix == ".jsonl" else _parse_tsv
        self._lines = _lines(regular_file(path), header=path.suffix != ".jsonl")
        self._ordinal = 0

    def skip(self, count: int) -> int:
        skipped = sum(1 for _ in islice(self._lines, count))
        self._ordinal += skipped
        return skipped

    def read(self, count: int) -> list[Read]:
        """The next pairs. InputError: a line without end, or with ``on_error: stop`` a malformed one."""
        return [self._row(number, raw) for number, raw in islice(self._lines, count)]

    def _row(self, line: int, raw: bytes) -> Read:
        ordinal = self._ordinal
        self._ordinal += 1
        try:
            try:
                read_id, window, seq = self._parse(raw.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise _ProblemError(f"byte {error.start + 1} of the line is not UTF-8") from None
            window, seq = _bases("window", window), _bases("read", seq)
        except _ProblemError as error:
            if self._config.on_error == "stop":
                raise malformed(self._path, ordinal, line, str(error)) from None
            return unanalysed(ordinal, f"record{ordinal + 1}", Disposition.MALFORMED, f"line {line}: {error}", source=PAIRS)
        strata = {"length": float(len(seq))}
        if max(len(window), len(seq)) > self._config.max_read_length:
            return unanalysed(ordinal, read_id, Disposition.FILTERED, "too_long", source=PAIRS, strata=strata)
        strata |= {
            "n_bases": float(seq.count("N")),
            "gc": (window.count("G") + window.count("C")) / len(window),
            "max_homopolymer": float(max(len(list(run)) for _, run in groupby(window))),
        }
        plain = PLAIN.issuperset(window) and PLAIN.issuperset(seq)
        disposition, reason = (None, None) if plain else (Disposition.FILTERED, "iupac")
        row = (ordinal, read_id, read_id, 0, "+", window, seq, None, None, None, strata, disposition, reason)
        return Read(*row, source=PAIRS, checksum=checksum(window, seq))


def _lines(path: Path, header: bool) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1, without line ends."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(raw) > MAX_LINE_BYTES:
                raise InputError(f"{path}: line {number}: longer than {MAX_LINE_BYTES} bytes")
            raw = raw.rstrip(b"\r\n")
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")  # what some editors put before UTF-8
                if header and tuple(raw.decode("utf-8", "replace").lower().split("\t")) == FIELDS:
                    continue
            if raw.strip():
                yield number, raw


def _parse_tsv(line: str) -> tuple[str, str, str]:
    fields = line.split("\t")
    if len(fields) != len(FIELDS):
        raise _ProblemError(f"{len(fields)} columns separated by tabs; expected 3: id, window, read")
    return _named(fields[0]), fields[1].strip(), fields[2].strip()


def _parse_json(line: str) -> tuple[str, str, str]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise _ProblemError(f"not JSON: {error}") from None
    except RecursionError:
        raise _ProblemError("not a pair: nested too deeply") from None
    if not isinstance(value, dict) or set(value) != set(FIELDS) or not all(isinstance(value[key], str) for key in FIELDS):
        raise _ProblemError('expected {"id": text, "window": bases, "read": bases} and no other key')
    return _named(value["id"]), value["window"], value["read"]


def _named(text: str) -> str:
    """An id of at most 200 printable characters."""
    text = text.strip()
    if not text or len(text) > 200 or not text.isprintable():
        raise _ProblemError("the id must be 1 to 200 printable characters")
    return text


def _bases(name: str, text: str) -> str:
    """Upper-case nucleotide codes, at least one."""
    if not text:
        raise _ProblemError(f"the {name} is empty")
    upper = text.upper()
    for place, base in enumerate(upper, 1):
        if base not in IUPAC:
            raise _ProblemError(f"base {place} of the {name} is {base!r}, not a nucleotide code")
    return upper


def check_pairs(config: SourceConfig, path: Path) -> None:
    """The file opens and its first line is a pair."""
    if not PairsCursor(config, path).read(1):
        raise InputError(f"{path}: holds no pairs")
