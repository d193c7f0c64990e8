"""The state of a run in one word, with its reason; and what the throttle does besides counting.

STARTING → RUNNING ⇄ PAUSED
   RUNNING ⇄ PARKED             a day's limit is used up; the throttle tries now and then
   RUNNING ⇄ DEGRADED           an actor that should report is silent
   any → DRAINING | STOPPING → COMPLETE | LIMITED | REFUSED | STOPPED | FAILED
"""

from __future__ import annotations

from dataclasses import dataclass

from helix_ray.metrics.snapshot import FINAL_STATES, ActorView, ControlView, MetricsSnapshot, QueueView, ThrottleView

SILENT_AFTER_S = 5.0  # five missed reports: a fault shows within six seconds
STALE_AFTER_S = 4.0  # four missed snapshots
BREAKER = {
    "open": "the API keeps failing: nothing is sent for some seconds",
    "half_open": "the API kept failing: one request tries whether it answers again",
}


def state_of(snapshot: MetricsSnapshot) -> tuple[str, str]:
    """The word and its reason, the gravest first; what the snapshot itself says of both is not read."""
    run, actors, queue, throttle, control = snapshot.run, snapshot.actors, snapshot.queue, snapshot.throttle, snapshot.control
    if run.status.upper() in FINAL_STATES:
        return run.status.upper(), run.reason or "the run has ended"
    if control.ending == "stop":
        return "STOPPING", "asked to stop: what is in flight is stored, the rest can be resumed"
    if control.ending == "drain":
        return "DRAINING", f"asked to drain: {queue.left} reads left in the queue"
    if not actors:
        return "STARTING", "waiting for the first report"
    silent = [actor for actor in actors if actor.last_seen_s > SILENT_AFTER_S and _is_expected(actor, queue)]
    if silent:
        worst = max(silent, key=lambda actor: actor.last_seen_s)
        others = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        return "DEGRADED", f"{worst.name}{others} not heard for {worst.last_seen_s:.0f} s"
    if snapshot.sink.outage_s > 0:
        return "DEGRADED", f"the database has not answered for {snapshot.sink.outage_s:.0f} s; answers wait in the sink"
    if control.paused:
        return "PAUSED", f"paused; {throttle.in_flight} requests still in flight"
    if throttle.is_parked:
        return "PARKED", f"the day's limit {throttle.parked} has been used up for {throttle.parked_for_s:.0f} s; {next_try(throttle)}"
    return "RUNNING", _running(throttle, queue, control, snapshot.as_of)


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
    if actor.role == "producer":
        return not queue.input_finished
    return actor.role != "analyzer" or not queue.input_finished or queue.left > 0


def next_try(throttle: ThrottleView) -> str:
    bound = f", then every {throttle.door_bound_s:.0f} s at the latest" if throttle.door_bound_s > 0 else ""
    return (f"next try in {throttle.next_probe_in_s:,.0f} s" if throttle.next_probe_in_s > 0 else "a request tries it now") + bound


def throttle_lines(snapshot: MetricsSnapshot) -> list[tuple[str, str]]:
    """Name and text, for the terminal and the page; only what is out of the ordinary. No text from outside is in them."""
    throttle = snapshot.throttle
    lines = []
    if throttle.parked is not None:
        lines.append(("parked", f"daily limit {throttle.parked} used up, for {throttle.parked_for_s:,.0f} s; {next_try(throttle)}"))
    if throttle.breaker in BREAKER:
        lines.append(("breaker", BREAKER[throttle.breaker] + (f"; {next_try(throttle)}" if throttle.door_bound_s > 0 else "")))
    elif throttle.door == "cooldown":
        lines.append(("cooldown", f"the API asked for silence; {next_try(throttle)}"))
    if throttle.concurrency is not None and not (snapshot.slots and throttle.concurrency >= snapshot.slots):
        of = f" of {snapshot.slots:,}" if snapshot.slots else ""
        lines.append(("held to", f"{throttle.concurrency:,}{of} requests in flight: the API has too much to do just now"))
    return lines


@dataclass(frozen=True, slots=True)
class Standing:
    """What may be said of the newest snapshot that a viewer has."""

    state: str  # the snapshot's own; of one that is old: LAST SEEN RUNNING
    reason: str
    as_of: float  # Unix seconds
    live: bool  # the run has its driver
    stale: bool  # what is shown is old: draw it grey
    driver_dead: bool  # and the run had not ended

    @property
    def has_ended(self) -> bool:
        """Nothing will change any more."""
        return self.driver_dead or self.state in FINAL_STATES


def standing(snapshot: MetricsSnapshot, age_s: float, driver_alive: bool) -> Standing:
    """``age_s``: how long ago ``snapshot`` was true. A state that is final cannot get old."""
    state, as_of = snapshot.state, snapshot.as_of
    if state in FINAL_STATES or (driver_alive and age_s <= STALE_AFTER_S):
        return Standing(state, snapshot.reason, as_of, driver_alive, False, False)
    reason = f"the run has not answered for {age_s:.0f} s; what is shown is old"
    if not driver_alive:
        reason = f"no live run: its driver is gone, and was last heard {age_s:.0f} s ago"
    return Standing(f"LAST SEEN {state}", reason, as_of, driver_alive, True, not driver_alive)


def duration_text(seconds: float) -> str:
    """``8 s``, ``7 m 20 s``, ``3 h 05 m``, ``4 d 02 h``: short, and never more exact than it is of use."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left:02} h"
    if hours:
        return f"{hours} h {minutes_left:02} m"
    return f"{minutes} m {rest:02} s" if minutes else f"{rest} s"
