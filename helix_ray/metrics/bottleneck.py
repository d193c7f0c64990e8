"""Names the part that the run waits for: the first one that is busy and not itself waiting for a part below it."""

from __future__ import annotations

from helix_ray.metrics.snapshot import Bottleneck, BucketView, MetricsSnapshot, ThrottleView

LOW_HEADROOM = 0.05  # of a limit: the bucket is as good as empty


def find_bottleneck(snapshot: MetricsSnapshot) -> Bottleneck:
    """From the outlet to the inlet: budget, gate, sink, limits, latency, analyzers, queue, source.

    A first rule on the levels of one moment; it says "none" rather than guess.
    """
    queue, throttle, rates = snapshot.queue, snapshot.throttle, snapshot.rates
    if snapshot.control.paused:
        return Bottleneck("paused", "the run is paused")
    if throttle.budget_exhausted:
        return Bottleneck("budget", "the next request could pass the cost cap")
    backlog = queue.waiting + queue.redelivered
    sink = snapshot.sink
    if sink.outage_s > 0:
        return Bottleneck("sink", f"the database has not answered for {sink.outage_s:.0f} s")
    falls_behind = rates.analysed is not None and rates.stored is not None and rates.analysed > 1.2 * rates.stored
    if falls_behind and queue.in_sink >= queue.capacity // 2:
        return Bottleneck("sink", f"{queue.in_sink} analysed reads wait for the database")
    if throttle.gate_closed_for_s > 0:
        return Bottleneck(_limit_name(throttle.binding), f"the API refuses requests for another {throttle.gate_closed_for_s:.0f} s")
    tight = _tightest(throttle)
    if throttle.waiting > 0 and tight is not None:
        return Bottleneck(_limit_name(tight.name), f"{tight.name}: {max(tight.credit, 0.0):.0f} of {tight.limit:.0f} left, requests wait")
    if backlog == 0 and queue.leased == 0:
        return Bottleneck("source", "nothing waits in the queue") if rates.offered is not None else Bottleneck("none", "")
    if not queue.blocked and backlog < queue.capacity // 10:
        return Bottleneck("source", f"only {backlog} reads wait in the queue")
    if throttle.in_flight > 0:
        return Bottleneck("API latency", f"all {throttle.in_flight} requests in flight wait for answers")
    if backlog > 0:
        return Bottleneck("analyzers", "reads wait, no limit binds and no request is in flight")
    return Bottleneck("none", "")


def _tightest(throttle: ThrottleView) -> BucketView | None:
    """The bucket that the throttle itself names as binding, else the emptiest one when it is as good as empty."""
    for bucket in throttle.buckets:
        if bucket.name == throttle.binding:
            return bucket
    known = [(bucket.headroom, bucket) for bucket in throttle.buckets if bucket.headroom is not None]
    headroom, emptiest = min(known, key=lambda pair: pair[0], default=(1.0, None))
    return emptiest if headroom < LOW_HEADROOM else None


def _limit_name(bucket: str | None) -> str:
    name = (bucket or "").lower()
    return "tokens limit" if "token" in name or name.startswith(("tp", "itp", "otp")) else "requests limit"
