"""From a snapshot to what is drawn: plain values, no Streamlit, so that every state can be tested without a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot
from helix_ray.metrics.state import throttle_lines
from helix_ray.records import FAILURE_KINDS

Spec = dict[str, Any]

UNKNOWN = "–"
GAP_S = 2.5  # a pause between two points that is drawn as a gap: no report says what was there
ICONS = {
    "STARTING": "⏳",
    "RUNNING": "▶",
    "PARKED": "⏸",
    "PAUSED": "⏸",
    "DRAINING": "⏬",
    "STOPPING": "⏹",
    "DEGRADED": "⚠",
    "COMPLETE": "✔",
    "LIMITED": "⛔",
    "REFUSED": "⛔",
    "STOPPED": "⏹",
    "FAILED": "✖",
}


@dataclass(frozen=True, slots=True)
class Card:
    """Labels are ours and values are numbers: both may pass through Streamlit's markdown."""

    label: str
    value: str
    note: str


def number(value: float | None, digits: int = 0) -> str:
    """Thousands separated; what is unknown, infinite or not a number is a dash."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def clock_text(unix_s: float | None) -> str:
    if unix_s is None or not math.isfinite(unix_s):
        return UNKNOWN
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def state_line(snapshot: MetricsSnapshot) -> str:
    return f"{ICONS.get(snapshot.state, '')} {snapshot.state}: {snapshot.reason}"


def run_lines(snapshot: MetricsSnapshot, age_s: float) -> str:
    run = snapshot.run
    age = f" ({age_s:.0f} s ago)" if age_s >= 2 else ""
    found = snapshot.bottleneck
    waits_for = f"{found.name} ({found.reason})" if found.reason else found.name
    return (
        f"run {run.run_id or UNKNOWN} · {run.name or UNKNOWN} · backend {run.backend or UNKNOWN} · model {run.model or UNKNOWN}\n"
        f"as of {clock_text(snapshot.as_of)}{age} · started {clock_text(run.started_at)} · waiting for: {waits_for}"
    )


def emulator_text(snapshot: MetricsSnapshot) -> str | None:
    """The label that stands on every screen of simulated results; None for a real backend."""
    if not snapshot.run.simulated:
        return None
    scale = snapshot.run.latency_scale
    scaling = "in real time" if scale == 1 else f"latencies scaled by {scale:g}"
    return f"EMULATOR: scripted error rates; says nothing about any LLM ({scaling})"


RUN_UNKNOWN = "Run unknown yet: the metrics have just restarted and were not told which run this is. Its numbers follow when they were."
"""Stands in place of them: unlabelled, scripted results could pass for a model's."""


def cards(snapshot: MetricsSnapshot) -> list[Card]:
    rates, totals, queue, money = snapshot.rates, snapshot.totals, snapshot.queue, snapshot.money
    requested = snapshot.run.reads_requested
    return [
        Card(
            "Ingestion rate",
            f"{number(rates.offered, 1)} reads/s",
            f"analysed {number(rates.analysed, 1)}, stored {number(rates.stored, 1)} reads/s",
        ),
        Card(
            "Processed",
            number(totals.stored + snapshot.run.rows_before),
            f"of {number(requested)} reads" if requested else "reads, without a fixed end",
        ),
        Card(
            "Waiting reads",
            f"{number(queue.depth)} / {number(queue.capacity)}",
            f"highest {number(queue.max_queue_depth)}, {'producers blocked' if queue.blocked else 'not blocked'}",
        ),
        Card(
            "Cost of cap",
            f"{number(money.spent_usd, 4)} USD",
            f"of {number(money.max_cost_usd, 2)}, reserved {number(money.reserved_usd, 4)}, used {percent(money.share)}",
        ),
        Card("Errors / 429", f"{number(totals.failures)} / {number(totals.http_429)}", f"dead letters {number(totals.dead_letters)}"),
    ]


def percent(share: float | None) -> str:
    return UNKNOWN if share is None or not math.isfinite(share) else f"{100 * share:.1f} %"


def queue_chart(points: Sequence[HistoryPoint], capacity: int) -> tuple[Spec, str]:
    """Waiting reads with the capacity as a line, and a description in words."""
    depth = [None if point is None else point.depth for _, point in _with_gaps(points)]
    spec = _chart(points, {"waiting": depth}, "reads", highest=capacity * 1.1)
    spec["series"][0]["areaStyle"] = {"opacity": 0.15}
    spec["series"][0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "animation": False,
        "label": {"formatter": f"capacity {capacity}", "position": "insideEndTop"},
        "data": [{"yAxis": capacity}],
    }
    now = number(depth[-1]) if depth and depth[-1] is not None else UNKNOWN
    return spec, f"Waiting reads over time: now {now} of {capacity}"


def rates_chart(points: Sequence[HistoryPoint]) -> tuple[Spec, str]:
    """Reads per second into the queue, through the model, into the database."""
    filled = [point for _, point in _with_gaps(points)]
    series = {
        name: [None if point is None else _finite(getattr(point, name)) for point in filled] for name in ("offered", "analysed", "stored")
    }
    last = ", ".join(f"{name} {number(values[-1] if values else None, 1)}" for name, values in series.items())
    return _chart(points, series, "reads/s"), f"Reads per second over time: now {last}"


def read_columns(reads: Sequence[RecentRead]) -> dict[str, list[str]]:
    """Text columns for a table. The names and calls are outside text: they go into text cells and nowhere else."""
    return {
        "read": [str(read.read_index) for read in reads],
        "id": [read.read_id for read in reads],
        "ending": [read.disposition if read.error_kind is None else f"{read.disposition} ({read.error_kind})" for read in reads],
        "difference from the reference window": [
            ", ".join(read.calls) or ("none" if read.mutation_detected is False else UNKNOWN) for read in reads
        ],
        "against the truth": [read.verdict or UNKNOWN for read in reads],
        "latency ms": [number(read.latency_ms) for read in reads],
        "finished": [clock_text(read.finished_at) for read in reads],
    }


def actor_columns(snapshot: MetricsSnapshot) -> dict[str, list[str]]:
    return {
        "actor": [actor.name for actor in snapshot.actors],
        "last heard": [f"{actor.last_seen_s:.0f} s ago" for actor in snapshot.actors],
        "memory MB": [number(actor.pss_mb) for actor in snapshot.actors],
        "restarts": [str(actor.restarts) for actor in snapshot.actors],
        "CPU, of a core": [percent(actor.cpu_share) for actor in snapshot.actors],
        "event loop late, ms": [number(actor.loop_lag_ms, 1) for actor in snapshot.actors],
    }


def bucket_columns(snapshot: MetricsSnapshot) -> dict[str, list[str]]:
    buckets = snapshot.throttle.buckets
    return {
        "limit": [bucket.name for bucket in buckets],
        "amount": [f"{number(bucket.limit)} a {bucket.window}" for bucket in buckets],
        "left": [number(bucket.credit) for bucket in buckets],
        "headroom": [percent(bucket.headroom) for bucket in buckets],
        "used": [percent(bucket.utilisation) for bucket in buckets],
    }


def api_columns(snapshot: MetricsSnapshot) -> dict[str, list[str]]:
    """What the throttle does about the API, and how the API fails."""
    totals, throttle, money = snapshot.totals, snapshot.throttle, snapshot.money
    share = percent(totals.resent / totals.requests) if totals.requests else UNKNOWN
    rows = [
        *throttle_lines(snapshot),
        ("in flight", f"{number(throttle.in_flight)} of {number(throttle.concurrency or snapshot.slots or None)} requests"),
        ("wait for a permit", f"{number(throttle.waiting)} requests, for {throttle.binding or 'nothing in particular'}"),
        ("on record as the most it can cost now", f"{number(money.authorised_usd, 4)} USD"),
        ("sent again after a failure", f"{number(totals.resent)} requests, {share}"),
        *((FAILURE_KINDS.get(kind, kind), number(count)) for kind, count in totals.failures_by_kind),
        *((f"reads answered by tier {tier}", number(count)) for tier, count in totals.reads_by_tier),
    ]
    return {"what": [name for name, _ in rows], "now": [words for _, words in rows]}


def _with_gaps(points: Sequence[HistoryPoint]) -> list[tuple[int, HistoryPoint | None]]:
    """With milliseconds; a gap's own point, None, stands just after the last one before it."""
    filled: list[tuple[int, HistoryPoint | None]] = []
    for before, point in zip([None, *points], points, strict=False):
        if before is not None and point.t - before.t > GAP_S:
            filled.append((round(before.t * 1000) + 1, None))
        filled.append((round(point.t * 1000), point))
    return filled


def _finite(value: float | None) -> float | None:
    return round(value, 2) if value is not None and math.isfinite(value) else None


def _chart(points: Sequence[HistoryPoint], series: dict[str, list[Any]], unit: str, highest: float | None = None) -> Spec:
    times = [at for at, _ in _with_gaps(points)]
    value_axis: Spec = {"type": "value", "name": unit, "min": 0}
    if highest is not None:
        value_axis["max"] = round(highest)
    return {
        "animation": False,  # a chart redrawn once a second must not move between its states
        "grid": {"left": 56, "right": 16, "top": 36, "bottom": 28},
        "legend": {"top": 0},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "time"},
        "yAxis": value_axis,
        "series": [
            {
                "name": name,
                "type": "line",
                "showSymbol": False,
                "connectNulls": False,
                "data": [list(pair) for pair in zip(times, values, strict=True)],
            }
            for name, values in series.items()
        ],
    }
