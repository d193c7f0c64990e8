"""The answer for one read: its calls, parsed by the schema or slightly beyond it, with each such leniency recorded."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from helix_ray.providers.outside_text import find_object, printable
from helix_ray.providers.readings import AnswerError

MAX_CALLS: Final = 1000
MAX_ALLELE: Final = 4096
MAX_TEXT: Final = 100_000
LENIENCIES: Final = ("case", "fence", "gap_allele", "pos_text")
GAPS: Final = frozenset(("", "-"))

_MAX_POSITION = 2**31 - 1
_CALL_KEYS = {"pos", "ref", "alt", "confidence"}
_EXCERPT_KEYS = {"ref", "read", "confidence"}
_WHOLE = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_LETTERS = re.compile(r"[ACGTNacgtn]+", re.ASCII)


class RawCall(NamedTuple):
    """A call as the model made it: the schema holds, the biology is not checked. Without ``pos``, ``ref`` and ``alt`` are excerpts
    of window and read.
    """

    pos: int | None
    ref: str
    alt: str
    confidence: float | None  # None when outside 0..1


class ReadAnswer(NamedTuple):
    calls: list[RawCall]
    leniency: tuple[str, ...]  # of LENIENCIES: what was accepted beyond the schema, sorted, each once
    text: str  # this read's own answer as JSON, storable: `reread_answer` gives the same calls


def read_item(item: Any, *, work: bool, fenced: bool = False, text: str | None = None) -> ReadAnswer | str:
    """A read's answer, or the reason why it is none. ``text``: the item as the model wrote it, where that is known."""
    keys = ["work", "id", "calls"] if work else ["id", "calls"]
    if not isinstance(item, dict) or item.keys() != set(keys):
        return f"the answer is not an object with exactly {', '.join(keys[:-1])} and {keys[-1]}"
    if work and not isinstance(item["work"], str):
        return "work is not a text"
    items = item["calls"]
    if not isinstance(items, list):
        return "calls is not a list"
    if len(items) > MAX_CALLS:
        return f"{len(items)} calls; at most {MAX_CALLS} are read"
    used = {"fence"} if fenced else set()
    calls = []
    for number, each in enumerate(items, start=1):
        call = _call(each, used)
        if isinstance(call, str):
            return f"call {number}{call}"
        calls.append(call)
    stored = _storable(item, text)
    return f"the answer has more than {MAX_TEXT} characters" if stored is None else ReadAnswer(calls, tuple(sorted(used)), stored)


def reread_answer(text: str) -> ReadAnswer | AnswerError:
    """Parse a stored answer (``ReadAnswer.text``) again, with or without ``work``, whatever its id.

    The leniency ``fence`` is lost: the stored text has no fence.
    """
    try:
        found = find_object(text)
    except ValueError as error:
        return AnswerError("parse_error", f"the answer is not JSON: {str(error)[:200]}")
    work = isinstance(found.value, dict) and "work" in found.value
    answer = read_item(found.value, work=work, fenced=found.fenced, text=found.text)
    return AnswerError("schema_error", answer) if isinstance(answer, str) else answer


def _storable(item: dict[str, Any], text: str | None) -> str | None:
    """JSON that a database can store, never cut; without ``work`` if it would be too long, None if it still is."""
    for kept in (item, {"id": item["id"], "calls": item["calls"]}):
        stored = json.dumps(kept, ensure_ascii=False) if text is None else text
        stored = printable(stored, 6 * len(stored))
        if len(stored) <= MAX_TEXT:
            return stored
        text = None
    return None


def _call(item: Any, used: set[str]) -> RawCall | str:
    """Either form of a call is read, whichever the template asked for: it is paid for, and their keys tell them apart."""
    excerpts = isinstance(item, dict) and item.keys() == _EXCERPT_KEYS
    if not excerpts and (not isinstance(item, dict) or item.keys() != _CALL_KEYS):
        return " is not an object with exactly pos, ref, alt and confidence, or ref, read and confidence"
    ref, alt, confidence = item["ref"], item["read" if excerpts else "alt"], item["confidence"]
    pos = None if excerpts else item["pos"]
    if isinstance(pos, str) and _WHOLE.fullmatch(pos.strip()):
        pos = int(pos)
        used.add("pos_text")
    if not excerpts and (type(pos) is not int or abs(pos) > _MAX_POSITION):
        return ": pos is not a whole number of 32 bits"
    if not isinstance(ref, str) or not isinstance(alt, str) or len(ref) > MAX_ALLELE or len(alt) > MAX_ALLELE:
        return f": ref and alt must be texts of at most {MAX_ALLELE} characters"
    if type(confidence) not in (int, float):
        return ": confidence is not a number"
    if not excerpts and (ref in GAPS) != (alt in GAPS):
        used.add("gap_allele")
    return RawCall(pos, _upper(ref, used), _upper(alt, used), _fraction(confidence))


def _upper(allele: str, used: set[str]) -> str:
    """Lower-case bases as bases; anything else stays as it came, for the judge to name."""
    if allele.isupper() or not _LETTERS.fullmatch(allele):
        return allele
    used.add("case")
    return allele.upper()


def _fraction(value: float) -> float | None:
    """None outside 0..1. The call stays, since the answer is paid for."""
    return float(value) if 0 <= value <= 1 else None
