"""The part that the run waits for."""

from __future__ import annotations

import pytest

from helix_ray.metrics.bottleneck import find_bottleneck
from helix_ray.metrics.snapshot import BucketView, ControlView, MetricsSnapshot, QueueView, Rates, SinkView, ThrottleView

IDLE = ThrottleView()
FULL = QueueView(waiting=480, blocked=True)
RPM = BucketView("requests_per_minute", 1000, 3)
TPM = BucketView("tokens_per_minute", 250_000, 500)
ROOMY = BucketView("requests_per_minute", 1000, 900)


def snapshot(queue: QueueView = FULL, throttle: ThrottleView = IDLE, **more: object) -> MetricsSnapshot:
    return MetricsSnapshot(as_of=0.0, queue=queue, throttle=throttle, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (snapshot(control=ControlView(paused=True)), "paused"),
        (snapshot(throttle=ThrottleView(budget_exhausted=True)), "budget"),
        (snapshot(QueueView(in_sink=600), rates=Rates(100, 100, 10)), "sink"),
        (snapshot(sink=SinkView(outage_s=3)), "sink"),
        (snapshot(throttle=ThrottleView(gate_closed_for_s=3, binding="tokens_per_minute")), "tokens limit"),
        (snapshot(throttle=ThrottleView((RPM, TPM), waiting=5, binding="tokens_per_minute")), "tokens limit"),
        (snapshot(throttle=ThrottleView((RPM,), waiting=5)), "requests limit"),
        (snapshot(throttle=ThrottleView((ROOMY,), waiting=5, in_flight=9)), "API latency"),
        (snapshot(throttle=ThrottleView((ROOMY,))), "analyzers"),
        (snapshot(QueueView(), rates=Rates(5, 5, 5)), "source"),
        (snapshot(QueueView(waiting=3)), "source"),
        (snapshot(QueueView()), "none"),
    ],
)
def test_the_guilty_part_is_named(given: MetricsSnapshot, name: str) -> None:
    assert find_bottleneck(given).name == name
