"""How a run ends: one decision from the facts, in one place.

    complete ── every read has its row ────────────────► exit 0, or 5 with dead letters or with nothing analysed
    limited ─── budget, day's limit, run.max_duration_s ► exit 3
    refused ─── the provider refuses for good ─────────► exit 4
    stopped ─── signal or command ─────────────────────► exit 130
    failed ──── database, input or restart storm ──────► exit 1

The exit codes are part of the command line's contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from helix_ray.records import AnalyzerEnd, RunStatus


@dataclass(frozen=True, slots=True)
class Ending:
    status: RunStatus
    reason: str
    force: bool = False  # stop within seconds instead of draining

    def exit_code(self, stored: int, dead_letters: int) -> int:
        """``stored``: reads that were analysed."""
        if self.status is RunStatus.COMPLETE:
            return 5 if dead_letters or not stored else 0
        return {RunStatus.LIMITED: 3, RunStatus.REFUSED: 4, RunStatus.STOPPED: 130}.get(self.status, 1)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the driver knows at one moment."""

    elapsed_s: float
    max_duration_s: float | None = None
    signals: int = 0
    asked_to: Literal["drain", "stop"] | None = None  # by command
    all_stored: bool = False  # every producer has offered all its reads and nothing is held anywhere
    budget_exhausted: str | None = None
    daily_stop: str | None = None  # a day's limit is used up, and throttle.on_daily_limit says stop
    refused: str | None = None
    source_error: str | None = None
    sink_error: str | None = None
    restart_storm: str | None = None
    analyzers_ended: frozenset[AnalyzerEnd] = frozenset()  # why, once none is left


_NO_ANALYZER_LEFT = {
    AnalyzerEnd.REFUSED: Ending(RunStatus.REFUSED, "the provider refuses for good; its words are in helix.api_calls"),
    AnalyzerEnd.BUDGET: Ending(RunStatus.LIMITED, "throttle.max_cost_usd: the worst case of one more request would pass it"),
    AnalyzerEnd.DAILY: Ending(RunStatus.LIMITED, "a daily limit is used up, and throttle.on_daily_limit is stop"),
}
"""Reasons that analyzers got from a throttle which died before the driver asked it: its successor does not know them."""


def decide(facts: Facts) -> Ending | None:
    """The ending that the facts call for, or None to go on. What cannot be undone comes before what was asked for."""
    if facts.refused:
        return Ending(RunStatus.REFUSED, facts.refused)
    if failure := facts.sink_error or facts.restart_storm or facts.source_error:
        return Ending(RunStatus.FAILED, failure)
    if facts.signals:
        return Ending(RunStatus.STOPPED, "stopped by signal", force=facts.signals > 1)
    if facts.asked_to:
        return Ending(RunStatus.STOPPED, f"{facts.asked_to} was asked for", force=facts.asked_to == "stop")
    if facts.all_stored:
        return Ending(RunStatus.COMPLETE, "every read has its row")
    if limit := facts.budget_exhausted or facts.daily_stop:
        return Ending(RunStatus.LIMITED, limit)
    if facts.max_duration_s is not None and facts.elapsed_s >= facts.max_duration_s:
        return Ending(RunStatus.LIMITED, f"run.max_duration_s: {facts.max_duration_s:g} s have passed")
    return next((ending for reason, ending in _NO_ANALYZER_LEFT.items() if reason in facts.analyzers_ended), None)
