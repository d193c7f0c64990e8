"""The one word for what a run is doing, with its reason.

STARTING → RUNNING ⇄ PAUSED
   RUNNING ⇄ PARKED             a day's limit is used up; the throttle tries now and then
   RUNNING ⇄ DEGRADED           an actor that should report is silent
   any → DRAINING | STOPPING → COMPLETE | LIMITED | REFUSED | STOPPED | FAILED
"""

from __future__ import annotations

from dataclasses import dataclass

from helix_ray.metrics.kinds import role_of
from helix_ray.metrics.snapshot import FINAL_STATES, ActorView, ControlView, QueueView, RunInfo, SinkView, ThrottleView
from helix_ray.metrics.wording import BREAKER, next_try

SILENT_AFTER_S = 5.0  # five missed reports: a fault shows within six seconds


@dataclass(frozen=True, slots=True)
class Parts:
    """What the state is read off."""

    actors: tuple[ActorView, ...]
    queue: QueueView
    sink: SinkView
    throttle: ThrottleView
    control: ControlView


def state_of(run: RunInfo, parts: Parts, unix_now: float) -> tuple[str, str]:
    """The word and its reason, the gravest first."""
    actors, queue, control = parts.actors, parts.queue, parts.control
    if run.status.upper() in FINAL_STATES:
        return run.status.upper(), run.reason or "the run has ended"
    if control.ending == "stop":
        return "STOPPING", "asked to stop: what is in flight is stored, the rest can be resumed"
    if control.ending == "drain":
        return "DRAINING", f"asked to drain: {queue.waiting + queue.redelivered + queue.leased} reads left in the queue"
    if not actors:
        return "STARTING", "waiting for the first report"
    silent = [actor for actor in actors if actor.last_seen_s > SILENT_AFTER_S and _is_expected(actor, queue)]
    if silent:
        worst = max(silent, key=lambda actor: actor.last_seen_s)
        others = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        return "DEGRADED", f"{worst.name}{others} not heard for {worst.last_seen_s:.0f} s"
    if parts.sink.outage_s > 0:
        return "DEGRADED", f"the database has not answered for {parts.sink.outage_s:.0f} s; answers wait in the sink"
    if control.paused:
        return "PAUSED", f"paused; {parts.throttle.in_flight} requests still in flight"
    throttle = parts.throttle
    if throttle.is_parked:
        return "PARKED", f"the day's limit {throttle.parked} has been used up for {throttle.parked_for_s:.0f} s; {next_try(throttle)}"
    return "RUNNING", _running(throttle, queue, control, unix_now)


def _running(throttle: ThrottleView, queue: QueueView, control: ControlView, unix_now: float) -> str:
    if throttle.budget_exhausted:
        return "the budget is used up"
    if throttle.breaker in BREAKER:
        return BREAKER[throttle.breaker]
    if throttle.gate_closed_for_s > 0:
        return f"the API asked for silence: next request in {throttle.gate_closed_for_s:.0f} s"
    if control.spike_until is not None and control.spike_until > unix_now:
        return f"spike: {control.spike_until - unix_now:.0f} s left"
    if queue.blocked:
        return "the queue is full: producers wait"
    return "reads flow"


def _is_expected(actor: ActorView, queue: QueueView) -> bool:
    """Producers and analyzers fall silent when their work is done."""
    role = role_of(actor.name)
    if role == "producer":
        return not queue.input_finished
    if role == "analyzer":
        return not (queue.input_finished and queue.waiting + queue.redelivered + queue.leased == 0)
    return True
