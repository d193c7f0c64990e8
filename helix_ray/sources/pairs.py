"""Pairs of a window and a read, already matched by the user, in one of the formats of `pair_formats`.

Endings before analysis: ``filtered``/``too_long`` (window or read of more than ``source.max_read_length`` bases),
``filtered``/``iupac`` (see ``source.iupac``), and ``malformed`` for anything else that is wrong.
"""

from __future__ import annotations

from itertools import groupby, islice
from pathlib import Path

from helix_ray.config import SourceConfig, SourceKind
from helix_ray.errors import InputError
from helix_ray.records import Disposition, Read
from helix_ray.sources.extension import checksum
from helix_ray.sources.files import regular_file
from helix_ray.sources.pair_formats import Pair, Parsed, pairs_of
from helix_ray.sources.source import malformed, unanalysed

PLAIN = frozenset("ACGTN")
AMBIGUITIES_TO_N = str.maketrans(dict.fromkeys("RYSWKMBDHV", "N"))
PAIRS = SourceKind.PAIRS.value


class PairsCursor:
    """An open pairs file."""

    def __init__(self, config: SourceConfig, path: Path) -> None:
        """InputError: the file cannot be opened, or is FASTQ."""
        self._config = config
        self._path = path
        self._pairs = pairs_of(regular_file(path), config.max_read_length)
        self._ordinal = 0

    def skip(self, count: int) -> int:
        skipped = sum(1 for _ in islice(self._pairs, count))
        self._ordinal += skipped
        return skipped

    def read(self, count: int) -> list[Read]:
        """The next pairs. InputError: the file cannot be read on, or with ``on_error: stop`` a malformed pair."""
        return [self._row(parsed) for parsed in islice(self._pairs, count)]

    def _row(self, parsed: Parsed) -> Read:
        ordinal = self._ordinal
        self._ordinal += 1
        pair = parsed.pair
        if pair is None:
            problem = parsed.problem or "not a pair"
            if self._config.on_error == "stop":
                raise malformed(self._path, ordinal, parsed.line, problem)
            reason = f"line {parsed.line}: {problem}"
            return unanalysed(ordinal, f"record{ordinal + 1}", Disposition.MALFORMED, reason, source=PAIRS)
        strata = {"length": float(pair.read_bases)}
        if max(pair.window_bases, pair.read_bases) > self._config.max_read_length:
            return unanalysed(ordinal, pair.read_id, Disposition.FILTERED, "too_long", source=PAIRS, strata=strata)
        return self._placed(ordinal, pair, strata)

    def _placed(self, ordinal: int, pair: Pair, strata: dict[str, float]) -> Read:
        window, seq = pair.window, pair.read
        if self._config.iupac == "n":
            window, seq = window.translate(AMBIGUITIES_TO_N), seq.translate(AMBIGUITIES_TO_N)
        strata |= {
            "n_bases": float(seq.count("N")),
            "gc": (window.count("G") + window.count("C")) / len(window),
            "max_homopolymer": float(max(len(list(run)) for _, run in groupby(window))),
        }
        plain = PLAIN.issuperset(window) and PLAIN.issuperset(seq)
        disposition, reason = (None, None) if plain else (Disposition.FILTERED, "iupac")
        row = (ordinal, pair.read_id, pair.read_id, 0, "+", window, seq, None, None, None, strata, disposition, reason)
        return Read(*row, source=PAIRS, checksum=checksum(window, seq))


def check_pairs(config: SourceConfig, path: Path) -> None:
    """The file opens and its first pair is one."""
    if not PairsCursor(config, path).read(1):
        raise InputError(f"{path}: holds no pairs")
