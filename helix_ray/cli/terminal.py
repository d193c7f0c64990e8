"""What the person at the terminal sees of a run: the start, a live view or plain lines, the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from helix_ray.actors.cluster import Cluster
from helix_ray.cli.live_view import render
from helix_ray.config import Backend
from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.results.files import page_path, report_path, save_report
from helix_ray.results.report import NOTICE
from helix_ray.results.table import render_report
from helix_ray.session.plan import Plan
from helix_ray.supervision.endings import Ending

if TYPE_CHECKING:
    from helix_ray.session.outcome import Listener, Outcome  # imports ray, which must come after its environment is set

PLAIN_LINE_INTERVAL_S = 5.0


class Terminal:
    """Prints one run. On a terminal the view is redrawn in place; into a file or a pipe go plain lines."""

    def __init__(self, console: Console, plan: Plan, progress: bool, copy_report_to: Path | None = None) -> None:
        self._console = console
        self._plan = plan
        self._live = Live(console=console, refresh_per_second=4, transient=True) if progress and console.is_terminal else None
        self._plain = progress and not console.is_terminal
        self._copy_report_to = copy_report_to
        self._next_line_at = 0.0

    def listener(self) -> Listener:
        from helix_ray.session.outcome import Listener  # noqa: PLC0415  (as above)

        return Listener(started=self.started, progress=self.progress, ending=self.ending, ended=self.ended, held=self.held)

    def announce(self) -> None:
        """Before anything starts: what will run, and where its reads will go."""
        config, plan = self._plan.config, self._plan
        verb = f"Resuming run {plan.run_id} ({plan.rows_before:,} reads done)" if plan.resumed else f"Run {plan.run_id}"
        asked = "" if config.analyzer.backend is Backend.ALIGNER else f", model {config.analyzer.model}, prompt {config.analyzer.prompt}"
        self._say(f"{verb}: {config.run.name}, backend {config.analyzer.backend.value}{asked}")
        if plan.simulated:
            self._console.print(NOTICE, style="bold yellow")
            if config.analyzer.backend is Backend.EMULATOR and config.emulator.latency_scale != 1:
                self._say(f"The emulator's latencies are scaled by {config.emulator.latency_scale:g}.")
        if plan.tariff is not None:
            self._say(f"Prices: {plan.tariff.words()}; cap ${config.throttle.max_cost_usd:g}.")
        if plan.sends_files_outside:
            self._console.print(
                f"Reads of {config.source.input_file} LEAVE THIS MACHINE: they are sent to {config.analyzer.base_url or 'api.groq.com'}.",
                style="bold red",
            )
        self._say("Starting Ray (5 to 20 s) ...")

    def started(self, cluster: Cluster) -> None:
        self._say("Live page: run `make monitor` or `helix monitor` in a second terminal (http://127.0.0.1:8501).")
        if cluster.dashboard_url:
            self._say(f"Ray dashboard: {cluster.dashboard_url} (asks for a token: cat {cluster.token_path})")
        self._say("Ctrl-C once finishes what is in flight; twice stops at once. Either way the run can be resumed.")
        if self._live:
            self._live.start()

    def progress(self, snapshot: MetricsSnapshot) -> None:
        if self._live:
            self._live.update(render(snapshot))
        elif self._plain and time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + PLAIN_LINE_INTERVAL_S
            self._say(plain_line(snapshot))

    def ending(self, ending: Ending) -> None:
        if self._live:
            self._live.stop()
        self._say(f"Ending: {ending.reason}. Storing what is in flight ...")

    def ended(self, outcome: Outcome) -> None:
        report = outcome.report
        self._console.print(render_report(report))
        path = report_path(self._plan.home, self._plan.run_id)
        self._say(f"Report: {path}, and as a page: {page_path(path)}")
        if self._copy_report_to is not None:
            save_report(report, self._copy_report_to)
        if report["resume_command"]:
            self._say(f"Resume with: {report['resume_command']}")

    def held(self) -> None:
        self._say("Held: Ray, its dashboard and the metrics stay up. Ctrl-C ends them.")

    def close(self) -> None:
        """Gives the terminal back, whatever happened."""
        if self._live:
            self._live.stop()

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def plain_line(snapshot: MetricsSnapshot) -> str:
    """One line of progress for a log."""
    queue, money = snapshot.queue, snapshot.money
    rate = "-" if snapshot.rates.stored is None else f"{snapshot.rates.stored:.1f}"
    cap = "" if money.max_cost_usd is None else f" of ${money.max_cost_usd:g}"
    label = "EMULATOR " if snapshot.run.simulated else ""
    return (
        f"{label}{snapshot.state}: stored {snapshot.totals.stored:,}, {rate} reads/s, queue {queue.waiting}/{queue.capacity}, "
        f"429s {snapshot.totals.http_429:,}, cost ${money.spent_usd:.4f}{cap}, waits for {snapshot.bottleneck.name}"
    )
