"""The run on a terminal: one snapshot as a rich renderable."""

from __future__ import annotations

import math

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from helix_ray.client.measures import Share, by_type, mistakes
from helix_ray.metrics.snapshot import MetricsSnapshot, Totals
from helix_ray.metrics.state import throttle_lines
from helix_ray.records import FAILURE_KINDS
from helix_ray.results.formatting import named
from helix_ray.results.report import SIMULATED

WIDE = 100  # columns from which on there is room for long bars
BAR_WIDTH, NARROW_BAR_WIDTH = 24, 12
LOW, FULL = 0.2, 0.98
UNKNOWN = "–"
STATE_STYLES = {"RUNNING": "bold green", "COMPLETE": "bold green", "STARTING": "bold cyan", "DEGRADED": "bold red", "FAILED": "bold red"}


def render(snapshot: MetricsSnapshot) -> RenderableType:
    """State, rates, queue gauge, throttle headroom, cost, errors and accuracy. Outside text is shown as text, never as markup."""
    return _View(snapshot)


class _View:
    """As wide as the terminal is at the time; made for 80 columns and more."""

    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        yield _panel(self._snapshot, BAR_WIDTH if options.max_width >= WIDE else NARROW_BAR_WIDTH)


def _panel(snapshot: MetricsSnapshot, bar_width: int) -> Panel:
    run = snapshot.run
    if not run.known:
        return Panel(Text("run unknown yet: the metrics have just restarted and were not told which run this is", style="bold yellow"))
    head = Text()
    head.append(snapshot.state, style=STATE_STYLES.get(snapshot.state, "bold yellow"))
    head.append(f"  {snapshot.reason}")
    parts: list[RenderableType] = [head]
    if run.simulated:
        parts.append(Text(f"EMULATOR: {SIMULATED}", style="bold yellow"))
    scale = f", latencies scaled by {run.latency_scale:g}" if run.simulated and run.latency_scale != 1 else ""
    parts.append(_cut(f"backend {run.backend}{scale}, model {run.model}"))
    parts.append(_table(snapshot, bar_width))
    return Panel(Group(*parts), title=_cut(f"run {run.run_id}  {run.name}"), title_align="left")


def _table(snapshot: MetricsSnapshot, bar_width: int) -> Table:
    rates, totals, queue, money, throttle = snapshot.rates, snapshot.totals, snapshot.queue, snapshot.money, snapshot.throttle
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(width=bar_width)
    table.add_column(overflow="fold")
    of = f" of {snapshot.run.reads_requested:,}" if snapshot.run.reads_requested else ""
    stored = totals.stored + snapshot.run.rows_before
    table.add_row(
        "stored", _bar(stored, snapshot.run.reads_requested, bar_width), f"{stored:,}{of} reads, {totals.dead_letters:,} dead letters"
    )
    table.add_row("reads/s", "", f"offered {_number(rates.offered)}  analysed {_number(rates.analysed)}  stored {_number(rates.stored)}")
    depth = queue.waiting + queue.redelivered
    table.add_row(
        "queue",
        _bar(depth, queue.capacity, bar_width, alarm=depth >= FULL * queue.capacity),
        f"{depth} / {queue.capacity} waiting{' (producers blocked)' if queue.blocked else ''}",
    )
    table.add_row("", "", f"highest {queue.max_queue_depth}, {queue.leased} leased, blocked {queue.blocked_seconds:,.0f} s in all")
    for bucket in throttle.buckets:
        headroom = bucket.headroom or 0.0
        table.add_row(
            _cut(bucket.name),
            _bar(headroom, 1.0, bar_width, alarm=headroom < LOW),
            Text(f"{max(bucket.credit, 0):,.0f} of {bucket.limit:,.0f} a {bucket.window} left ({bucket.source or 'configured'})"),
        )
    for name, words in throttle_lines(snapshot):
        table.add_row(name, "", Text(words))
    share = money.share or 0.0
    table.add_row(
        "cost",
        _bar(share, 1.0, bar_width, alarm=share > 1 - LOW),
        f"${_number(money.spent_usd, 4)} + ${_number(money.reserved_usd, 4)} reserved of ${_number(money.max_cost_usd, 2)}",
    )
    if money.authorised_usd is not None:
        table.add_row("", "", f"${_number(money.authorised_usd, 4)} on record as the most that it can be now")
    waiting = f", silence for {throttle.gate_closed_for_s:.0f} s" if throttle.gate_closed_for_s > 0 else ""
    table.add_row(
        "API",
        "",
        f"{throttle.in_flight} in flight, p95 {_number(snapshot.latency.p95, 0)} ms{waiting}",
    )
    table.add_row("", "", f"{totals.failures:,} errors, {totals.http_429:,} 429s{_resent(totals)}")
    for kind, count in totals.failures_by_kind:
        table.add_row("", "", f"{count:,} × {FAILURE_KINDS.get(kind, kind)}")
    if {tier for tier, _ in totals.reads_by_tier} - {"on_demand"}:
        table.add_row("tiers", "", Text(f"reads: {named(dict(totals.reads_by_tier))}"))
    table.add_row("accuracy", _cut("EMULATOR") if snapshot.run.simulated else "", Text(_accuracy(snapshot)))
    if snapshot.accuracy:
        table.add_row("mistakes", _cut("EMULATOR") if snapshot.run.simulated else "", Text(_mistakes(snapshot)))
    table.add_row("waits for", "", Text(f"{snapshot.bottleneck.name}  {snapshot.bottleneck.reason}"))
    return table


def _resent(totals: Totals) -> str:
    return f", {totals.resent:,} sent again ({100 * totals.resent / totals.requests:.1f} %)" if totals.resent and totals.requests else ""


def _accuracy(snapshot: MetricsSnapshot) -> str:
    """One type a line: the model's measures with their intervals, and the ceiling, which is the aligner's F1 on the same reads."""
    rows = by_type(snapshot)
    if not rows:
        return "no truth known"
    lines = [f"{'%':<7}  F1    precision       recall  ceiling"]
    lines += [f"{row.level:<7} {_whole(row.f1)} {_share(row.precision)} {_share(row.recall)} {_whole(row.ceiling_f1):>8}" for row in rows]
    return "\n".join(lines)


def _mistakes(snapshot: MetricsSnapshot) -> str:
    sums, shares = snapshot.read_sums, [_percent(share.value) for _, _, share in mistakes(snapshot)]
    if not shares:
        return ""
    missed, misplaced, misnamed, invented, misread = shares
    lines = [f"missed {missed}, misplaced {misplaced}, misnamed {misnamed}", f"invented in {invented} of reads"]
    if any(counts.fp_error for counts in snapshot.accuracy.values()):
        lines.append(f"{misread} of calls are sequencing errors")
    if sums.exact or sums.baseline_exact:  # of runs from before these were stored nothing is known
        exact, aligner = sums.exact / sums.reads, sums.baseline_exact / sums.reads
        lines.append(f"reads exactly right {_percent(exact)} (aligner {_percent(aligner)})")
    return "\n".join(lines)


def _whole(share: float | None) -> str:
    return f"{UNKNOWN:>3}" if share is None else f"{100 * share:>3.0f}"


def _share(share: Share) -> str:
    """``87 (85-89)``."""
    if share.value is None or share.low is None or share.high is None:
        return f"{UNKNOWN:>12}"
    return f"{f'{100 * share.value:.0f} ({100 * share.low:.0f}-{100 * share.high:.0f})':>12}"


def _cut(text: str) -> Text:
    """One line, however long the names in it are; what is cut off is marked."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _bar(value: float, total: float | None, width: int, alarm: bool = False) -> RenderableType:
    if not total or not math.isfinite(value):
        return ""
    style = "red" if alarm else "green"
    return ProgressBar(total=total, completed=min(max(value, 0), total), width=width, complete_style=style, finished_style=style)


def _number(value: float | None, digits: int = 1) -> str:
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.0f} %"
