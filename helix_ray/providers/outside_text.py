"""JSON from a provider or a model: nothing beyond the standard, and no way to break the reader."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple


class Found(NamedTuple):
    """JSON in a text."""

    value: Any
    text: str  # the JSON alone
    fenced: bool  # other text stood around it


def strict_json(text: str | bytes) -> Any:
    """JSON without NaN and infinities; ValueError says what is wrong, nesting without end included."""
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")  # as json.loads does
    try:
        return _BODY.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def find_object(text: str) -> Found:
    """The JSON that a model's ``text`` is, else the one object in it, with a fence or prose around it; ValueError as `strict_json`.

    The text's first brace must open it and no brace may follow it: a part of a broken object, or one of two, is no answer. Nor is
    an object that has a name twice: one of its two ids or lists of calls may be another read's.
    """
    try:
        try:
            return Found(_ANSWER.decode(text), text, False)
        except ValueError:
            start = text.find("{")
            if start < 0:
                raise
            value, end = _ANSWER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "{" in text[end:]:
        raise ValueError("more than one object")
    return Found(value, text[start:end], True)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("an object has a name twice")
    return names


_BODY = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
_ANSWER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique)


def printable(text: str, limit: int) -> str:
    """Text that a database stores as it is: no NUL, no lone surrogate, at most ``limit`` characters."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    if "\0" in text:
        text = text.replace("\0", "\\u0000")
    return text if len(text) <= limit else text[: limit - 1] + "…"
