"""The six kinds of limit."""

from __future__ import annotations

WINDOW_S = {"RPM": 60, "RPD": 86_400, "TPM": 60, "TPD": 86_400, "ITPM": 60, "OTPM": 60}
"""Seconds of each kind's window, in the order in which the limits are checked."""
KINDS = tuple(WINDOW_S)

PUBLISHED = {"RPM": 30, "RPD": 1_000, "TPM": 8_000, "TPD": 200_000, "ITPM": 8_000, "OTPM": 8_000}
"""The free tier, which an outage of a limit that is not in force shows; ITPM and OTPM are not published, these are TPM's."""
