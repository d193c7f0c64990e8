"""What may become a row: text that PostgreSQL can store, and reads that arrived as they were made. A dead letter replaces the rest.

A text of PostgreSQL is valid UTF-8 without NUL, so NUL and lone surrogates break the statement that carries them. A field of
hundreds of megabytes breaks the connection.

A read's checksum, taken at the source, is taken again before its row is written. Between the two lie serialisation, two actors
and, in a large run, hours. A read damaged on the way would be scored against another read's truth, without any sign of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from helix_ray.records import Disposition, Read, ReadResult, ScoredVariant, Variant

MAX_TEXT_CHARS = 4_000_000
"""Of one field. The longest read allowed has 10,000 bases and the longest answer is bounded by its tokens."""

UNSTORABLE = "unstorable"
"""The error_kind of a read whose own row could not be stored."""

CORRUPTED = "corrupted"
"""The error_kind of a read that is not what its source made."""

KEPT_CHARS = 10_000
"""Of each field of an unstorable read: enough to see what was wrong with it."""

Checksum = Callable[[str, str, list[tuple[int, str, str]] | None], int]
"""Of ref_seq, seq and truth (pos, ref, alt; None: unknown): `helix_ray.native.rust.checksum`."""

_BREAKS = re.compile("[\x00\ud800-\udfff]")
_ALLELE = re.compile("[ACGTN]{1,1000}")
_TYPES = ("SNV", "MNV", "INS", "DEL", "DELINS")
_EVENTS = ("snv", "mnv", "ins", "del", "dup", "inv", "complex", None)
_TITV = ("ti", "tv", None)
_ANSWER_TEXTS = ("raw_answer", "model", "prompt", "prompt_hash", "schema_hash", "system_fingerprint", "service_tier", "outcome")


def text_problem(text: str | None) -> str | None:
    """Why a text cannot be stored; None when it can."""
    if text is None:
        return None
    if len(text) > MAX_TEXT_CHARS:
        return f"a field of {len(text)} characters; at most {MAX_TEXT_CHARS} are stored"
    found = _BREAKS.search(text)
    return None if found is None else f"character U+{ord(found.group()):04X} at offset {found.start()} cannot be stored as text"


def storable(text: str, limit: int = KEPT_CHARS) -> str:
    r"""``text`` with what cannot be stored written as \xNN or \uNNNN, cut to ``limit`` characters."""
    cut = text[:limit]
    escaped = _BREAKS.sub(lambda found: "\\x00" if found.group() == "\x00" else f"\\u{ord(found.group()):04x}", cut)
    return escaped if len(text) <= limit else f"{escaped}… ({len(text)} characters)"


def storable_or_none(text: str | None, limit: int = KEPT_CHARS) -> str | None:
    return None if text is None else storable(text, limit)


def result_problem(result: ReadResult) -> str | None:
    """The first field of a result that cannot be stored as text; None when all can."""
    texts = (getattr(owner, name) for owner, names in _texts(result) for name in names)
    return next((problem for problem in map(text_problem, texts) if problem), None)


def _texts(result: ReadResult) -> list[tuple[Any, tuple[str, ...]]]:
    return [
        (result.read, ("read_id", "contig", "strand", "ref_seq", "seq", "qual", "reason")),
        (result, (*_ANSWER_TEXTS, "error_kind", "error")),
        *((variant, ("ref", "alt", "reason")) for variant in result.variants),
        *((variant, ("ref", "alt", "spdi")) for variant in (*(result.read.truth or ()), *(result.read.errors or ()))),
    ]


def as_unstorable(result: ReadResult, reason: str) -> ReadResult:
    """A dead letter that can be stored in place of a result that cannot; its truth still counts, as missed."""
    return dead_lettered(result, UNSTORABLE, reason)


def dead_lettered(result: ReadResult, error_kind: str, reason: str, kept_chars: int = KEPT_CHARS) -> ReadResult:
    """A dead letter in place of a result, with whatever of it can be stored, its answer included. Its truth counts as missed."""

    def kept(text: str | None) -> str | None:
        return storable_or_none(text, kept_chars)

    read = result.read
    sound = read._replace(
        read_id=storable(read.read_id, kept_chars),
        contig=storable(read.contig, kept_chars),
        ref_start=read.ref_start if 0 <= read.ref_start < 2**63 else -1,
        ref_seq=storable(read.ref_seq, kept_chars),
        seq=storable(read.seq, kept_chars),
        qual=kept(read.qual),
        truth=_sound(read.truth),
        strata=read.strata if all(map(math.isfinite, (read.strata or {}).values())) else None,
        reason=kept(read.reason),
        errors=_sound(read.errors),
        checksum=read.checksum if 0 <= (read.checksum or 0) < 2**64 else None,
    )
    texts: dict[str, Any] = {name: kept(getattr(result, name)) for name in _ANSWER_TEXTS}
    return replace(
        result,
        read=sound,
        disposition=Disposition.DEAD_LETTER,
        variants=[
            variant._replace(
                match=variant.match and "FN",
                reason=None,
                confidence=None,
                detail="failed",
                off_by=None,
                baseline=None,
                all_match=variant.all_match and "FN",
            )
            for variant in result.variants
            if variant.side in ("truth", "error") and _is_sound(variant)
        ],
        mutation_detected=None,
        **texts,
        latency_ms=finite(result.latency_ms),
        queue_ms=finite(result.queue_ms),
        leniency=(),
        exact=None,
        baseline_exact=None,
        residual_edits=None,
        capped=False,
        error_kind=error_kind,
        error=storable(reason, 1000),
    )


def _sound(variants: tuple[Variant, ...] | None) -> tuple[Variant, ...] | None:
    """Those that their rows' constraints accept."""
    return None if variants is None else tuple(filter(_is_sound, variants))


def _is_sound(variant: Variant | ScoredVariant) -> bool:
    sound = 1 <= variant.pos < 2**31 and bool(_ALLELE.fullmatch(variant.ref)) and bool(_ALLELE.fullmatch(variant.alt))
    if isinstance(variant, Variant):
        counted = variant.length is None or 1 <= variant.length < 2**31
        sound = sound and counted and text_problem(variant.spdi) is None and variant.titv in _TITV
    return sound and variant.type in _TYPES and variant.event in _EVENTS


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def verified(results: Sequence[ReadResult], checksum: Checksum) -> list[ReadResult]:
    """The results in their order, with a dead letter in place of each whose read is damaged. A paid answer stays in it.

    A read whose source took no checksum (None) passes.
    """
    return [_verified(result, checksum) for result in results]


def _taken_again(read: Read, checksum: Checksum) -> int | None:
    """None: the damage is such that there is none."""
    truth = None if read.truth is None else [variant[:3] for variant in read.truth]
    try:
        return checksum(read.ref_seq, read.seq, truth)
    except (UnicodeEncodeError, OverflowError):  # a lone surrogate, a position that is none
        return None


def _verified(result: ReadResult, checksum: Checksum) -> ReadResult:
    expected = result.read.checksum
    found = None if expected is None else _taken_again(result.read, checksum)
    if found == expected:
        return result
    reason = (
        f"checksum {expected} at the source, {'none' if found is None else found} at the sink: "
        "the read was damaged on its way, and nothing that was found in it counts"
    )
    if result.error_kind is not None:
        reason = f"{reason}; it had ended as {result.error_kind}: {result.error}"
    return dead_lettered(result, CORRUPTED, reason, kept_chars=MAX_TEXT_CHARS)
