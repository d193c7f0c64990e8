"""Cells of CSV files that a spreadsheet shows and does not run."""

from __future__ import annotations

import re
from decimal import Decimal

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What OWASP's "CSV Injection" lists: a cell that begins so is a formula to Excel and LibreOffice."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def cell(value: object) -> str | int | float | Decimal:
    r"""Numbers as they are, None as an empty cell, truth values as true and false.

    A text that could be a formula gets a leading apostrophe; its control characters become \xNN or \uNNNN.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return value
    text = str(value)
    shown = _CONTROL.sub(_escaped, text)
    return f"'{shown}" if text.startswith(_FORMULA) else shown


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
