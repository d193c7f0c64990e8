"""What the throttle does besides counting, in plain words: the same on the terminal and on the page."""

from __future__ import annotations

from helix_ray.metrics.snapshot import MetricsSnapshot, ThrottleView

BREAKER = {
    "open": "the API keeps failing: nothing is sent for some seconds",
    "half_open": "the API kept failing: one request tries whether it answers again",
}


def next_try(throttle: ThrottleView) -> str:
    """Of a parked run."""
    return f"next try in {throttle.next_probe_in_s:,.0f} s" if throttle.next_probe_in_s > 0 else "a request tries it now"


def throttle_lines(snapshot: MetricsSnapshot) -> list[tuple[str, str]]:
    """Name and words; only what is out of the ordinary. Made of numbers and words of our own."""
    throttle = snapshot.throttle
    lines = []
    if throttle.parked is not None:
        lines.append(("parked", f"daily limit {throttle.parked} used up, for {throttle.parked_for_s:,.0f} s; {next_try(throttle)}"))
    if throttle.breaker in BREAKER:
        lines.append(("breaker", BREAKER[throttle.breaker]))
    if throttle.concurrency is not None and not (snapshot.slots and throttle.concurrency >= snapshot.slots):
        of = f" of {snapshot.slots:,}" if snapshot.slots else ""
        lines.append(("held to", f"{throttle.concurrency:,}{of} requests in flight: the API bears no more just now"))
    return lines
