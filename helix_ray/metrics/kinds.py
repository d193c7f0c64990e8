"""What a reported name means when its actor starts again from zero.

A counter goes on from where it was, a maximum is kept, and everything else is a gauge: its latest value.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    COUNTER = "counter"
    MAXIMUM = "maximum"
    GAUGE = "gauge"


_COUNTERS = frozenset(
    {
        "produced",
        "blocked_seconds",
        "blocked_puts",
        "admitted",
        "acked",
        "nacked",
        "expired",
        "generated",
        "requests_granted",
        "requests_answered",
        "http_429",
        "analysed",
        "rate_limited",
        "requests",
        "failures",
        "dead_letters",
        "tokens_prompt",
        "tokens_cached",
        "tokens_completion",
        "cost_usd",
        "committed_reads",
        "committed_calls",
        "suppressed",
        "replayed",
        "unstorable",
        "corrupted",
        "batches",
        "retries",
        "repairs",
        "lenient",
        "baseline_s",
        "scoring_s",
        "cpu_s",
        "resent",
        "held_back_s",
        "intent_wait_s",
    }
)
_COUNTER_PREFIXES = ("score.", "ceiling.", "reads.", "off_by.", "failed.", "tier.")


def kind_of(name: str) -> Kind:
    """``spent_usd`` is a maximum: the throttle restores it from the ledger, so adding it up again would count it twice."""
    if name in _COUNTERS or name.startswith(_COUNTER_PREFIXES):
        return Kind.COUNTER
    if name.startswith("max_") or name == "spent_usd":
        return Kind.MAXIMUM if name != "max_cost_usd" else Kind.GAUGE
    return Kind.GAUGE


def role_of(source: str) -> str:
    """``helix-producer-3`` is a producer, ``helix-queue`` the queue."""
    return source.removeprefix("helix-").rstrip("0123456789").rstrip("-")
