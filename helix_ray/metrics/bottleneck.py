"""Why the run is not faster: the one part that all others wait for, and what to do about it.

A part is the bottleneck when it is busy and does not itself wait for another. The rules go from certain ones (a part waits and
reports what for) to those that are left when none does. What no rule finds is "none".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from helix_ray.metrics.snapshot import ActorView, Bottleneck, MetricsSnapshot, Money, QueueView, ThrottleView
from helix_ray.metrics.state import next_try
from helix_ray.providers.readings import LIMIT_KINDS

LOW_HEADROOM = 0.05  # of a limit: the bucket is as good as empty
MUCH = 0.5  # of the time, or of the requests in flight: more than by chance
HELD_BACK = 0.3  # of the analyzers' time that results waited for the database: they come in batches, so it is never all of it
FULL_CORE = 0.9
FULL_MACHINE = 0.95
TURNS = 4
"""Times that a request waits for its analyzer's event loop at least: permit, intent, sending, answer."""
LATE_MS = 50.0
SLOW_COMMIT_MS = 250.0
"""From here on it is the database that the sink waits for."""
IN_USE = 0.9  # of the requests that may be in flight: all, but for those between two requests

_KIND_NAMES: dict[str, str] = {
    kind: "daily limit" if kind.endswith("D") else "requests" if kind.startswith("R") else "tokens" for kind in LIMIT_KINDS
}
_ADVICE = {
    "requests": "more reads in a request (analyzer.reads_per_request) or a higher limit would help, more workers would not",
    "tokens": "a shorter prompt, lower reasoning effort, a smaller max_completion_tokens or a higher limit would help",
    "daily limit": "a higher limit or another key's day would help; throttle.on_daily_limit: stop ends such a run instead",
}


_STAGES = {"sink": "sink", "producer": "source", "API latency": "analyzers", "paused": None, "none": None}
"""Of `MetricsSnapshot.stages`: who is waited for. All that is not named here is a limit, and so the throttle's."""


def find_bottleneck(snapshot: MetricsSnapshot) -> Bottleneck:
    """Of one moment; `MetricsSnapshot` holds what is averaged over the last seconds already."""
    found = next((found for rule in _RULES for found in rule(snapshot)), Bottleneck("none", ""))
    return replace(found, stage=found.stage or _STAGES.get(found.name, "throttle"))


def waits_behind(queue: QueueView, throttle: ThrottleView, money: Money, slots: int) -> bool | None:
    """Whether the throttle waits for what comes behind it (the API, the analyzers, the record); False: requests wait for its limits.

    None: neither.
    """
    if throttle.waiting > 0:
        return throttle.binding in ("breaker", "retries") or (throttle.binding == "budget" and _waits_for_the_record(money))
    if _held_to_concurrency(throttle, slots):
        return False
    return True if queue.is_filled else None


def _paused(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    if snapshot.control.paused:
        yield Bottleneck("paused", "the run is paused; resume it")


def _budget(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    throttle, money, advice = snapshot.throttle, snapshot.money, "raise throttle.max_cost_usd to go on"
    if throttle.budget_exhausted:
        yield Bottleneck("budget", f"the next request could pass the cost cap; {advice}")
    elif throttle.waiting > 0 and throttle.binding == "budget" and not _waits_for_the_record(money):
        of = "" if money.max_cost_usd is None else f" of ${money.max_cost_usd:.2f}"
        left = f"${money.spent_usd or 0:.4f} spent and ${money.reserved_usd or 0:.4f} reserved{of}"
        yield Bottleneck("budget", f"requests wait until others are settled, since the cap is near: {left}; {advice}")


def _sink(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    sink, commit = snapshot.sink, _commit(snapshot)
    if sink.outage_s > 0:
        yield Bottleneck("sink", f"the database has not answered for {sink.outage_s:.0f} s; bring it back, nothing is lost meanwhile")
    elif sink.holds_back is not None and sink.holds_back >= HELD_BACK:
        yield Bottleneck("sink", f"analyzers hold back {100 * sink.holds_back:.0f} % of the time, results wait for their commit{commit}")
    elif snapshot.throttle.waiting > 0 and snapshot.throttle.binding == "budget" and _waits_for_the_record(snapshot.money):
        yield Bottleneck("sink", f"requests wait until it is on record what more may be spent{commit}")


def _recording(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    """Not before the limits: where those bind, a request waits for its permit first, and the record costs it nothing."""
    share = snapshot.sink.intents_share
    if share is not None and share >= MUCH and snapshot.throttle.in_flight > 0:
        waiting = f"for {100 * share:.0f} % of its time a request waits until it is on record, before it is sent"
        yield Bottleneck("sink", f"{waiting}{_commit(snapshot)}")


def _daily(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    throttle = snapshot.throttle
    if throttle.is_parked:
        reason = f"{throttle.parked} is used up, parked for {throttle.parked_for_s:.0f} s, {next_try(throttle)}"
        yield Bottleneck("daily limit", f"{reason}; {_ADVICE['daily limit']}")
    elif throttle.waiting > 0 and throttle.binding == "daily":
        yield Bottleneck("daily limit", f"the day's limit is used up; {_ADVICE['daily limit']}")


def _failing(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    """An API that fails is one that does not answer in time."""
    throttle = snapshot.throttle
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in snapshot.totals.failures_by_kind) or "see the errors"
    advice = "nothing to do here but to wait, or to look at the provider's status page"
    if throttle.breaker != "closed":
        yield Bottleneck("API latency", f"the API keeps failing ({kinds}), so that single requests try whether it answers; {advice}")
    elif throttle.waiting > 0 and throttle.binding in ("breaker", "retries"):
        yield Bottleneck("API latency", f"so many requests fail ({kinds}) that sending them again is held to a share; {advice}")


def _limits(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    throttle = snapshot.throttle
    if throttle.waiting <= 0:
        return
    bucket = _binding_bucket(throttle)
    name = None if bucket is None else _KIND_NAMES.get(bucket.upper().partition(" ")[0])
    if name is not None:
        yield Bottleneck(name, f"{_state_of(throttle, bucket)}; {_ADVICE[name]}")
    elif throttle.gate_closed_for_s > 0:
        refused = f"the API refuses requests for another {throttle.gate_closed_for_s:.0f} s, after a 429"
        yield Bottleneck("requests", f"{refused}; {_ADVICE['requests']}")


def _concurrency(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    """Lowered because the API has no more room; at the configured number it is the latency that counts."""
    throttle = snapshot.throttle
    limit = throttle.concurrency
    if _held_to_concurrency(throttle, snapshot.slots):
        of = f" of {snapshot.slots}" if snapshot.slots else ""
        reason = f"the API bears {limit}{of} requests in flight just now: with more it refuses them or slows down"
        yield Bottleneck("concurrency", f"{reason}; another service tier or hour may bear more, more workers would not help")


def _producer(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    """The queue is as good as empty, more will come, and the analyzers have room for more reads."""
    queue, throttle, slots = snapshot.queue, snapshot.throttle, snapshot.slots
    asked_for = throttle.in_flight + throttle.waiting
    if queue.input_finished or queue.blocked or queue.is_filled or (slots and asked_for >= IN_USE * slots):
        return
    if snapshot.rates.offered is None:
        return  # nothing was ever seen to flow: the run is starting
    cpu_share, busiest = _highest(snapshot, "producer", lambda actor: actor.cpu_share)
    if cpu_share >= FULL_CORE:
        how = f"{busiest} uses a whole core; more producers would help (source.producers), where the source is not a file"
    else:
        how = f"reads come at {snapshot.rates.offered:,.1f} a second and are taken at once; raise source.rate_per_s if it is set"
    yield Bottleneck("producer", how)


def _cpu(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    """Measured: a thread that is never idle, event loops that run late compared with an answer, or all cores busy with ours."""
    machine = snapshot.machine
    around = "" if machine.busy is None else f" (this machine's cores are {100 * machine.busy:.0f} % busy)"
    for role, stage, advice in (
        ("analyzer", "analyzers", "raise analyzer.workers if there are cores left"),
        ("throttle", "throttle", "put more reads into a request (analyzer.reads_per_request)"),
        ("queue", "queue", "raise source.batch_size"),
    ):
        busy, busiest = _highest(snapshot, role, lambda actor: actor.loop_busy)
        if busy >= FULL_CORE:
            yield Bottleneck("pipeline CPU", f"{busiest} uses a whole core{around}; {advice}", stage)
        late_ms, latest = _highest(snapshot, role, lambda actor: actor.loop_lag_ms)
        if late_ms >= LATE_MS and TURNS * late_ms >= MUCH * (snapshot.latency.p50 or 0.0):
            yield Bottleneck("pipeline CPU", f"{latest} gets to its work {late_ms:,.0f} ms late{around}; give the run more cores", stage)
    full = machine.busy is not None and machine.busy >= FULL_MACHINE
    if full and machine.ours is not None and machine.ours >= MUCH:
        reason = f"all {machine.cores or ''} cores are busy, {100 * machine.ours:.0f} % of them with this run; give it more"
        yield Bottleneck("pipeline CPU", reason, "analyzers")


def _latency(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    throttle, slots = snapshot.throttle, snapshot.slots
    if throttle.in_flight <= 0:
        return
    p50 = snapshot.latency.p50
    takes = "" if p50 is None else f"; half of them take more than {p50:,.0f} ms"
    if snapshot.queue.input_finished and not snapshot.queue.depth:
        yield Bottleneck("API latency", f"the last {throttle.in_flight} requests wait for their answers{takes}")
        return
    of = f" of {slots} that may be" if slots else ""
    advice = "raise analyzer.requests_in_flight or analyzer.workers, or lower the reasoning effort"
    yield Bottleneck("API latency", f"{throttle.in_flight} requests in flight{of} wait for answers{takes}; {advice}")


def _aligner(snapshot: MetricsSnapshot) -> Iterator[Bottleneck]:
    """Without an API nothing but computing is left."""
    if snapshot.run.backend == "aligner" and snapshot.queue.left > 0:
        reason = "the analyzers compute, and nothing else is waited for; raise analyzer.workers if there are cores left"
        yield Bottleneck("pipeline CPU", reason, "analyzers")


Rule = Callable[[MetricsSnapshot], Iterator[Bottleneck]]
_LIMITED: tuple[Rule, ...] = (_paused, _budget, _sink, _daily, _failing, _limits, _recording)
_RULES: tuple[Rule, ...] = (*_LIMITED, _producer, _cpu, _concurrency, _latency, _aligner)


def _highest(snapshot: MetricsSnapshot, role: str, value: Callable[[ActorView], float | None]) -> tuple[float, str]:
    """The highest value among the actors of a role, and the first actor that has it; 0 where none is known."""
    values = [(value(actor) or 0.0, actor.name) for actor in snapshot.actors if actor.role == role]
    return max(values, key=lambda pair: pair[0], default=(0.0, ""))


def _held_to_concurrency(throttle: ThrottleView, slots: int) -> bool:
    limit = throttle.concurrency
    if limit is None or (slots and limit >= slots):
        return False
    return (throttle.waiting > 0 and throttle.binding == "concurrency") or throttle.in_flight >= IN_USE * limit


def _waits_for_the_record(money: Money) -> bool:
    """There is budget left that was not put on record yet."""
    return money.authorised_usd is not None and money.max_cost_usd is not None and money.authorised_usd < money.max_cost_usd


def _commit(snapshot: MetricsSnapshot) -> str:
    """What a commit takes, and advice that follows from it: a sink may be slow, or have just restarted, beside a quick database."""
    took_ms = snapshot.sink.commit_ms_p50
    if took_ms is None:
        return "; this sink has committed nothing yet"
    advice = (
        "look at the database's disk, locks and network, or raise sink.batch_size"
        if took_ms >= SLOW_COMMIT_MS
        else ("it is not the database that is slow, `helix logs --actor sink` shows what the sink met")
    )
    return f", a commit takes {took_ms:,.0f} ms; {advice}"


def _binding_bucket(throttle: ThrottleView) -> str | None:
    """What the throttle itself names, else the emptiest one when it is as good as empty and the throttle names nothing."""
    if throttle.binding is not None:
        return throttle.binding
    known = [(bucket.headroom, bucket.name) for bucket in throttle.buckets if bucket.headroom is not None]
    headroom, emptiest = min(known, default=(1.0, None))
    return emptiest if headroom < LOW_HEADROOM else None


def _state_of(throttle: ThrottleView, name: str | None) -> str:
    bucket = next((each for each in throttle.buckets if each.name == name), None)
    left = "" if bucket is None else f" has {max(bucket.credit, 0.0):,.0f} of {bucket.limit:,.0f} a {bucket.window} left,"
    return f"{name}{left} and {throttle.waiting} requests wait for it" if left else f"{throttle.waiting} requests wait for {name}"
