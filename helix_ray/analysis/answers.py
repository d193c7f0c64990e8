"""The answer inside a completion, read by the schema's letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from helix_ray.analysis.completion import AnswerError, Completion, parse_completion, strict_json
from helix_ray.analysis.schema import ANSWER_SCHEMA, SCHEMA_HASH

__all__ = ["ANSWER_SCHEMA", "SCHEMA_HASH", "AnswerError", "ParsedAnswer", "RawCall", "parse_answer"]

MAX_CALLS = 1000
MAX_ALLELE = 4096
_MAX_POSITION = 2**31 - 1
_ANSWER_KEYS = {"id", "calls"}
_CALL_KEYS = {"pos", "ref", "alt", "confidence"}


class RawCall(NamedTuple):
    """A call as the model made it: the schema holds, the biology is not checked."""

    pos: int
    ref: str
    alt: str
    confidence: float | None  # None when outside 0..1


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    calls: list[RawCall]
    completion: Completion


def parse_answer(body: bytes, expected_id: str) -> ParsedAnswer | AnswerError:
    """The calls in a 200 body that answers ``expected_id``, or why there are none."""
    completion = parse_completion(body)
    if isinstance(completion, AnswerError):
        return completion
    if completion.refusal:
        return AnswerError("refused", f"the model refused: {completion.refusal}", completion)
    if completion.finish_reason == "length":
        return AnswerError("truncated", "the answer was cut off; raise analyzer.max_completion_tokens", completion)
    if completion.finish_reason not in ("stop", None):
        return AnswerError("refused", f"the model stopped with '{completion.finish_reason}'", completion)
    try:
        data = strict_json(completion.content)
    except ValueError as error:
        return AnswerError("parse_error", f"the answer is not JSON: {str(error)[:200]}", completion)
    calls = _calls(data, expected_id)
    return AnswerError("schema_error", calls, completion) if isinstance(calls, str) else ParsedAnswer(calls, completion)


def _calls(data: Any, expected_id: str) -> list[RawCall] | str:
    """The calls, or in words what the schema forbids."""
    if not isinstance(data, dict) or data.keys() != _ANSWER_KEYS:
        return "the answer is not an object with exactly id and calls"
    if data["id"] != expected_id:
        return "the answer carries another read's id"
    items = data["calls"]
    if not isinstance(items, list):
        return "calls is not a list"
    if len(items) > MAX_CALLS:
        return f"{len(items)} calls; at most {MAX_CALLS} are read"
    calls: list[RawCall] = []
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict) or item.keys() != _CALL_KEYS:
            return f"call {number} is not an object with exactly pos, ref, alt and confidence"
        pos, ref, alt, confidence = item["pos"], item["ref"], item["alt"], item["confidence"]
        if type(pos) is not int or abs(pos) > _MAX_POSITION:
            return f"call {number}: pos is not a whole number of 32 bits"
        if not isinstance(ref, str) or not isinstance(alt, str) or len(ref) > MAX_ALLELE or len(alt) > MAX_ALLELE:
            return f"call {number}: ref and alt must be texts of at most {MAX_ALLELE} characters"
        if type(confidence) not in (int, float):
            return f"call {number}: confidence is not a number"
        calls.append(RawCall(pos, ref, alt, _fraction(confidence)))
    return calls


def _fraction(value: float) -> float | None:
    """An answer is paid for: a confidence of 95 costs it the confidence, not the call."""
    return float(value) if 0 <= value <= 1 else None
