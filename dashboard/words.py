"""Numbers, times and money in words. What is unknown, infinite or not a number is a dash."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from helix_ray.metrics.state import duration_text

UNKNOWN = "–"


def number(value: float | None, digits: int = 0) -> str:
    """Thousands separated."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def rate(value: float | None) -> str:
    """A rate with as many digits as tell it apart: 0.43, 4.3, 43, 1,234."""
    size = abs(value) if value is not None and math.isfinite(value) else 0.0
    return number(value, 0 if size >= 10 or size == 0 else 1 if size >= 1 else 2)


def percent(share: float | None, digits: int = 1) -> str:
    return UNKNOWN if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %"


def usd(amount: float | None) -> str:
    """US dollars: cents, and for less than a dollar enough digits to see the amount move."""
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    return f"${amount:,.2f}" if abs(amount) >= 1 or amount == 0 else f"${amount:.3f}" if abs(amount) >= 0.1 else f"${amount:.4f}"


def spelled(seconds: float | None) -> str:
    """A duration in its two largest units: 12 m 03 s."""
    return UNKNOWN if seconds is None or not math.isfinite(seconds) else duration_text(max(0.0, seconds))


def about(seconds: float) -> str:
    """A duration that is an estimate, in its largest unit: ~7 m."""
    text = spelled(seconds)
    return text if text == UNKNOWN else "~" + (" ".join(text.split()[:2]) if seconds >= 600 else text)


def clock(at: datetime | float | None) -> str:
    """Date and time, UTC. ``at``: with its zone, or Unix seconds."""
    return _time(at.timestamp() if isinstance(at, datetime) else at, "%Y-%m-%d %H:%M:%S UTC")


def clock_short(unix_s: float | None) -> str:
    """The time of the day, UTC; the zone's name stands once beside all of them."""
    return _time(unix_s, "%H:%M:%S")


def _time(unix_s: float | None, form: str) -> str:
    return UNKNOWN if unix_s is None or not math.isfinite(unix_s) else datetime.fromtimestamp(unix_s, UTC).strftime(form)
