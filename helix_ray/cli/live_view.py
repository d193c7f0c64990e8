"""The run on a terminal: one snapshot as a rich renderable."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.results.report import SIMULATED

BAR_WIDTH = 24
LOW, FULL = 0.2, 0.98
STATE_STYLES = {"RUNNING": "bold green", "COMPLETE": "bold green", "STARTING": "bold cyan", "DEGRADED": "bold red", "FAILED": "bold red"}


def render(snapshot: MetricsSnapshot) -> RenderableType:
    """State, rates, queue gauge, throttle headroom, cost, errors and accuracy. Outside text is shown as text, never as markup."""
    run = snapshot.run
    head = Text()
    head.append(snapshot.state, style=STATE_STYLES.get(snapshot.state, "bold yellow"))
    head.append(f"  {snapshot.reason}")
    parts: list[RenderableType] = [head]
    if run.simulated:
        scale = "real time" if run.latency_scale == 1 else f"latencies scaled by {run.latency_scale:g}"
        parts.append(Text(f"EMULATOR ({scale}): {SIMULATED}", style="bold yellow"))
    parts.append(_table(snapshot))
    title = Text(f"{run.name or 'run'}  {run.run_id}  {run.backend} {run.model}")
    return Panel(Group(*parts), title=title, title_align="left")


def _table(snapshot: MetricsSnapshot) -> Table:
    rates, totals, queue, money, throttle = snapshot.rates, snapshot.totals, snapshot.queue, snapshot.money, snapshot.throttle
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(width=BAR_WIDTH)
    table.add_column()
    of = f" of {snapshot.run.reads_requested:,}" if snapshot.run.reads_requested else ""
    stored = totals.stored + snapshot.run.rows_before
    table.add_row("stored", _bar(stored, snapshot.run.reads_requested), f"{stored:,}{of} reads, {totals.dead_letters:,} dead letters")
    table.add_row("reads/s", "", f"offered {_number(rates.offered)}  analysed {_number(rates.analysed)}  stored {_number(rates.stored)}")
    depth = queue.waiting + queue.redelivered
    table.add_row(
        "queue",
        _bar(depth, queue.capacity, alarm=depth >= FULL * queue.capacity),
        f"{depth} / {queue.capacity} waiting{' (producers blocked)' if queue.blocked else ''}, {queue.leased} leased, "
        f"highest {queue.max_queue_depth}, blocked {queue.blocked_seconds:.0f} s",
    )
    for bucket in throttle.buckets:
        headroom = bucket.headroom or 0.0
        table.add_row(
            Text(bucket.name),
            _bar(headroom, 1.0, alarm=headroom < LOW),
            Text(f"{max(bucket.credit, 0):,.0f} of {bucket.limit:,.0f} a {bucket.window} left ({bucket.source or 'configured'})"),
        )
    share = money.share or 0.0
    table.add_row(
        "cost",
        _bar(share, 1.0, alarm=share > 1 - LOW),
        f"${_number(money.spent_usd, 4)} + ${_number(money.reserved_usd, 4)} reserved of ${_number(money.max_cost_usd, 2)}",
    )
    waiting = f", silence for {throttle.gate_closed_for_s:.0f} s" if throttle.gate_closed_for_s > 0 else ""
    table.add_row(
        "API",
        "",
        f"{throttle.in_flight} in flight, p95 {_number(snapshot.latency.p95, 0)} ms, "
        f"{totals.failures:,} errors, {totals.http_429:,} 429s{waiting}",
    )
    table.add_row("accuracy", "", Text(_accuracy(snapshot)))
    table.add_row("waits for", "", Text(f"{snapshot.bottleneck.name}  {snapshot.bottleneck.reason}"))
    return table


def _accuracy(snapshot: MetricsSnapshot) -> str:
    if not snapshot.accuracy:
        return "no truth known"
    return "  ".join(f"{item.type} P {_percent(item.precision)} R {_percent(item.recall)}" for item in snapshot.accuracy)


def _bar(value: float, total: float | None, alarm: bool = False) -> RenderableType:
    if not total or not math.isfinite(value):
        return ""
    style = "red" if alarm else "green"
    return ProgressBar(total=total, completed=min(max(value, 0), total), width=BAR_WIDTH, complete_style=style, finished_style=style)


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
