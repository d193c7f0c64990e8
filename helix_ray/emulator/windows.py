"""The six kinds of limit."""

from __future__ import annotations

WINDOW_S = {"RPM": 60, "RPD": 86_400, "TPM": 60, "TPD": 86_400, "ITPM": 60, "OTPM": 60}
"""Seconds of each kind's window, in the order in which the limits are checked."""
KINDS = tuple(WINDOW_S)

REQUESTS, TOKENS, INPUT, OUTPUT = range(4)
MEASURE = {"RPM": REQUESTS, "RPD": REQUESTS, "TPM": TOKENS, "TPD": TOKENS, "ITPM": INPUT, "OTPM": OUTPUT}
"""What each kind counts, by its place in `buckets.Amounts`."""
