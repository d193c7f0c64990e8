"""A run on a terminal: its start, a live view or plain lines, its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from helix_ray.client.measures import by_type, mistakes, with_errors
from helix_ray.metrics.snapshot import MetricsSnapshot, parts_by_node
from helix_ray.metrics.state import Standing, duration_text, throttle_lines
from helix_ray.records import FAILURE_KINDS, left_out
from helix_ray.results.formatting import NOTICE, SIMULATED, UNKNOWN, measure, named, percent, share

if TYPE_CHECKING:
    from helix_ray.actors.cluster import Cluster
    from helix_ray.session.outcome import Listener, Outcome
    from helix_ray.session.plan import Plan
    from helix_ray.supervision.endings import Ending

PLAIN_LINE_INTERVAL_S = 5.0
WIDE = 100  # columns from which on there is room for long bars
BAR_WIDTH, NARROW_BAR_WIDTH = 24, 12
NAME_WIDTH, GAP, EDGE = 9, 2, 2
LOW, FULL = 0.2, 0.98
STATE_STYLES = {"RUNNING": "bold green", "COMPLETE": "bold green", "STARTING": "bold cyan", "DEGRADED": "bold red", "FAILED": "bold red"}


class Frames:
    """One view, drawn over the last one. After a resize, which breaks the lines of the old frame anew, the screen is cleared first."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._size = console.size
        self._live: Live | None = None

    def draw(self, view: RenderableType) -> None:
        if self._live is not None and self._console.size != self._size:
            self.stop()
            self._console.clear()
        if self._live is None:
            self._size = self._console.size
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view, refresh=True)

    def stop(self) -> None:
        """Takes the view away. Safe twice."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class Terminal:
    """Prints one run. On a terminal the view is redrawn in place; into a file or a pipe go plain lines."""

    def __init__(self, console: Console, plan: Plan, progress: bool, copy_report_to: Path | None = None) -> None:
        self._console = console
        self._plan = plan
        self._frames = Frames(console) if progress and console.is_terminal else None
        self._plain = progress and not console.is_terminal
        self._copy_report_to = copy_report_to
        self._next_line_at = 0.0

    def listener(self) -> Listener:
        from helix_ray.session.outcome import Listener  # noqa: PLC0415  (this and below: `helix status` shows the view alone)

        return Listener(started=self.started, progress=self.progress, ending=self.ending, ended=self.ended, held=self.held)

    def announce(self) -> None:
        """Prints what will run, and where its reads will go. Called before anything starts."""
        from helix_ray.session.reporting import resume_command  # noqa: PLC0415

        config, plan = self._plan.config, self._plan
        verb = f"Resuming run {plan.run_id} ({plan.rows_before:,} reads done)" if plan.resumed else f"Run {plan.run_id}"
        analyzer = config.analyzer
        asked = f", model {analyzer.model}, prompt {analyzer.prompt_name}" if analyzer.backend.asks_an_api else ""
        self._say(f"{verb}: {config.run.name}, backend {analyzer.backend.value}{asked}")
        if analyzer.backend.asks_provider:
            self._say(f"Provider: {config.provider.name}, at {config.provider_url}.")
        if plan.simulated:
            self._console.print(NOTICE, style="bold yellow")
            if config.analyzer.backend.simulated and config.emulator.latency_scale != 1:
                self._say(f"The emulator's latencies are scaled by {config.emulator.latency_scale:g}.")
        if plan.tariff is not None:
            self._say(f"Prices: {plan.tariff.describe()}; cap ${config.throttle.max_cost_usd:g}.")
        if config.sends_files_outside:
            left = f"Reads of {config.source.input_file} LEAVE THIS MACHINE: they are sent to {config.provider_url}."
            self._console.print(left, style="bold red")
        self._say(f"Whatever ends it, it goes on with: {resume_command(plan.home, plan.run_id)}")
        self._say("Starting Ray (5 to 20 s) ...")

    def started(self, cluster: Cluster) -> None:
        self._say("Live page: run `make monitor` or `helix monitor` in a second terminal (http://127.0.0.1:8501).")
        if cluster.dashboard_url:
            self._say(f"Ray dashboard: {cluster.dashboard_url} (asks for a token: cat {cluster.token_path})")
        self._say("Ctrl-C once finishes what is in flight; twice stops at once. Either way the run can be resumed.")

    def progress(self, snapshot: MetricsSnapshot) -> None:
        if self._frames:
            self._frames.draw(LiveView(snapshot, fit=True))
        elif self._plain and time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + PLAIN_LINE_INTERVAL_S
            self._say(plain_line(snapshot))

    def ending(self, ending: Ending) -> None:
        self.close()
        self._say(f"Ending: {ending.reason}. Storing what is in flight ...")

    def ended(self, outcome: Outcome) -> None:
        from helix_ray.results.files import page_path, report_path, save_report  # noqa: PLC0415
        from helix_ray.results.table import render_report  # noqa: PLC0415

        report = outcome.report
        self._console.print(render_report(report))
        path = report_path(self._plan.home, self._plan.run_id)
        self._say(f"Report: {path}, and as a page: {page_path(path)}")
        if self._copy_report_to is not None:
            try:
                save_report(report, self._copy_report_to)
            except OSError as error:
                self._say(f"It could not be copied to {self._copy_report_to}: {error.strerror}")
        if not (report["reads_stored"] or report["dead_letters"]) and (reasons := left_out(report["left_out"] or {})):
            self._say(f"NOTHING WAS ANALYSED: {reasons}.")
        if report["resume_command"]:
            self._say(f"Resume with: {report['resume_command']}")

    def held(self) -> None:
        self._say("Held: Ray, its dashboard and the metrics stay up. Ctrl-C ends them.")

    def close(self) -> None:
        """Restores the terminal, also after an error."""
        if self._frames:
            self._frames.stop()

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def plain_line(snapshot: MetricsSnapshot) -> str:
    """One line of progress for a log."""
    queue, money = snapshot.queue, snapshot.money
    rate = "–" if snapshot.rates.stored is None else f"{snapshot.rates.stored:.1f}"
    cap = "" if money.max_cost_usd is None else f" of ${money.max_cost_usd:g}"
    label = "EMULATOR " if snapshot.run.simulated else ""
    stored = snapshot.totals.stored + snapshot.run.rows_before
    return (
        f"{label}{snapshot.state}: stored {stored:,}, {rate} reads/s, queue {_number(queue.depth, 0)}/{queue.capacity}, "
        f"429s {snapshot.totals.http_429:,}, cost ${_number(money.spent_usd, 4)}{cap}, waits for {snapshot.bottleneck.name}"
    )


class LiveView:
    """State, what is waited for, rates, queue gauge, throttle headroom, cost, errors and accuracy. Outside text is shown as text, never
    as markup.

    As wide as the terminal is at the time; made for 80 columns and more. ``fit``: no higher than the terminal either: what matters
    least is left out. ``stands``: of a snapshot that may be old.
    """

    def __init__(self, snapshot: MetricsSnapshot, *, fit: bool = False, stands: Standing | None = None) -> None:
        self._snapshot = snapshot
        self._fit = fit
        self._state, self._reason = (stands or snapshot).state, (stands or snapshot).reason

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        snapshot, run = self._snapshot, self._snapshot.run
        if not run.known:
            yield Panel(Text("run unknown yet: the metrics have just restarted and were not told which run this is", style="bold yellow"))
            return
        state = (self._state, STATE_STYLES.get(self._state, "bold yellow"))
        held = Text.assemble(("waits for ", "dim"), (snapshot.bottleneck.name, "bold"), f"  {snapshot.bottleneck.reason}")
        scale = f", latencies scaled by {run.latency_scale:g}" if run.simulated and run.latency_scale != 1 else ""
        head: list[Text] = [Text.assemble(state, f"  {self._reason}"), held]
        if run.simulated:
            head.append(Text(f"EMULATOR: {SIMULATED}", style="bold yellow"))
        by = f", provider {run.provider}" if run.provider and not run.simulated else ""
        head.append(_cut(f"backend {run.backend}{by}{scale}, model {run.model}"))
        bar_width = BAR_WIDTH if options.max_width >= WIDE else NARROW_BAR_WIDTH
        text_width = options.max_width - 2 * EDGE - NAME_WIDTH - bar_width - 2 * GAP
        rows = [*_rows(snapshot, partial(_bar, width=bar_width))]
        if self._fit:
            taken = 3 + sum(_height(line, console, options.max_width - 2 * EDGE) for line in head)  # a frame, and a line for the cursor
            rows = _fitting(rows, options.max_height - taken, lambda row: _height(row.text, console, text_width))
        name = Column(style="dim", no_wrap=True, width=NAME_WIDTH, overflow="ellipsis")
        table = Table.grid(name, Column(width=bar_width), Column(overflow="fold"), padding=(0, GAP))
        for row in rows:
            table.add_row(Text(row.name), row.bar, row.text)
        yield Panel(Group(*head, table), title=_cut(f"run {run.run_id}  {run.name}"), title_align="left")


class Row(NamedTuple):
    name: str
    bar: RenderableType
    text: Text
    rank: int  # 0: shown always; of others the highest goes first where there is no room


def _rows(snapshot: MetricsSnapshot, bar: Callable[..., RenderableType]) -> Iterator[Row]:
    """``bar`` is `_bar` of the column's width."""
    rates, totals, queue, money, throttle = snapshot.rates, snapshot.totals, snapshot.queue, snapshot.money, snapshot.throttle

    def row(rank: int, name: str, text: str, gauge: RenderableType = "") -> Row:
        return Row(name, gauge, Text(text), rank)

    of = f" of {snapshot.run.reads_requested:,}" if snapshot.run.reads_requested else ""
    stored = totals.stored + snapshot.run.rows_before
    left = "" if snapshot.eta_s is None else f", done in {duration_text(snapshot.eta_s)}"
    done = bar(stored, snapshot.run.reads_requested)
    yield row(0, "stored", f"{stored:,}{of} reads{left}, {totals.dead_letters:,} dead letters", done)
    if totals.left_out:
        yield row(1, "", f"not analysed: {left_out(dict(totals.left_out))}")
    yield row(0, "reads/s", f"offered {_number(rates.offered)}  analysed {_number(rates.analysed)}  stored {_number(rates.stored)}")
    depth = queue.depth or 0
    blocked = " (producers blocked)" if queue.blocked else ""
    gauge = bar(depth, queue.capacity, alarm=depth >= FULL * queue.capacity)
    yield row(0, "queue", f"{_number(queue.depth, 0)} / {queue.capacity} waiting{blocked}", gauge)
    highest, leased, waited = _number(queue.max_queue_depth, 0), _number(queue.leased, 0), _number(queue.blocked_seconds, 0)
    yield row(4, "", f"highest {highest}, {leased} leased, blocked {waited} s in all")
    for node, parts in parts_by_node(snapshot).items() if snapshot.run.driver_node else ():
        yield row(3, "node", f"{node}: {', '.join(parts)}")
    for bucket in throttle.buckets:
        headroom = bucket.headroom or 0.0
        room = f"{max(bucket.credit, 0):,.0f} of {bucket.limit:,.0f} a {bucket.window} left ({bucket.source or 'configured'})"
        yield row(3 if headroom >= LOW else 1, bucket.name, room, bar(headroom, 1.0, alarm=headroom < LOW))
    for name, words in throttle_lines(snapshot):
        yield row(1, name, words)
    share = money.share or 0.0
    spent = f"${_number(money.spent_usd, 4)} + ${_number(money.reserved_usd, 4)} reserved of ${_number(money.max_cost_usd, 2)}"
    yield row(0, "cost", spent, bar(share, 1.0, alarm=share > 1 - LOW))
    if money.usd_per_hour is not None:
        until = "" if money.cap_in_s is None else f", the cap in {duration_text(money.cap_in_s)}"
        yield row(2, "", f"${money.usd_per_hour:,.2f} an hour{until}")
    if money.authorised_usd is not None:
        yield row(6, "", f"${_number(money.authorised_usd, 4)} on record as the most that it can be now")
    waiting = f", silence for {throttle.gate_closed_for_s:.0f} s" if throttle.gate_closed_for_s > 0 else ""
    yield row(0, "API", f"{throttle.in_flight} in flight, p95 {_number(snapshot.latency.p95, 0)} ms{waiting}")
    resent = f", {totals.resent:,} sent again ({percent(totals.resent / totals.requests)})" if totals.resent and totals.requests else ""
    yield row(0, "", f"{totals.failures:,} errors, {totals.http_429:,} 429s{resent}")
    for kind, count in totals.failures_by_kind:
        yield row(5, "", f"{count:,} × {FAILURE_KINDS.get(kind, kind)}")
    if {tier for tier, _ in totals.reads_by_tier} - {"on_demand"}:
        yield row(6, "tiers", f"reads: {named(dict(totals.reads_by_tier))}")
    label = _cut("EMULATOR") if snapshot.run.simulated else ""
    head, *types = _accuracy(snapshot)
    yield row(0 if not types else 2, "accuracy", head, label)
    for number, line in enumerate(types):
        yield row(2 if number == len(types) - 1 else 8, "", line)  # the last one is of all types
    for number, line in enumerate(_mistakes(snapshot) if snapshot.accuracy else []):
        yield row(7, "" if number else "mistakes", line, "" if number else label)


def _fitting(rows: list[Row], lines: int, height: Callable[[Row], int]) -> list[Row]:
    """As many rows as there is room for, in their order."""
    heights = [height(row) for row in rows]
    spare = sorted((number for number, row in enumerate(rows) if row.rank), key=lambda number: (rows[number].rank, number))
    dropped: set[int] = set()
    while sum(heights) > lines and spare:
        number = spare.pop()
        heights[number] = 0
        dropped.add(number)
    return [row for number, row in enumerate(rows) if number not in dropped]


def _height(text: Text, console: Console, width: int) -> int:
    return 1 if text.no_wrap else len(text.wrap(console, max(1, width), overflow="fold"))


def _accuracy(snapshot: MetricsSnapshot) -> list[str]:
    """One type a line: the model's measures, and the ceiling, which is the aligner's F1 on the same reads."""
    rows = by_type(snapshot)
    if not rows:
        return ["no truth known"]
    title = "of all differences" if with_errors(snapshot) else "ceiling"
    lines = [f"{'type':<7} {'F1, 95 %':<20} prec. recall {title}"]
    for row in rows:
        f1 = measure(row.f1.value, None if row.f1.low is None or row.f1.high is None else (row.f1.low, row.f1.high))
        lines.append(f"{row.level:<7} {f1:<20} {share(row.precision.value):>5} {share(row.recall.value):>6} {share(row.ceiling_f1):>7}")
    return lines


def _mistakes(snapshot: MetricsSnapshot) -> list[str]:
    sums, shares = snapshot.read_sums, [percent(share.value, 0) for _, _, share in mistakes(snapshot)]
    if not shares:
        return []
    missed, misplaced, misnamed, invented, misread, renumbered = shares
    lines = [f"missed {missed}, misplaced {misplaced}, misnamed {misnamed}", f"invented in {invented} of reads"]
    if any(counts.fp_error for counts in snapshot.accuracy.values()):
        lines.append(f"{misread} of calls are sequencing errors")
    if sums.renumbered:
        lines.append(f"counted in the read, not in the window: {renumbered} of reads")
    if sums.exact or sums.baseline_exact:  # of runs from before these were stored nothing is known
        exact, aligner = sums.exact / sums.reads, sums.baseline_exact / sums.reads
        lines.append(f"reads exactly right {percent(exact, 0)} (aligner {percent(aligner, 0)})")
    return lines


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
