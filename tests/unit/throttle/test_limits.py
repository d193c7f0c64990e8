"""How the throttle learns limits and what other clients use of them, and how it waits when the provider says so."""

import pytest

from helix_ray.providers.readings import LimitReading
from helix_ray.throttle.other_clients import OtherClients
from support.throttle_bench import ThrottleBench, ids, want

# -- probing and learning -----------------------------------------------------------------------------------------------


def test_with_an_unknown_limit_one_probe_goes_out_and_the_rest_waits_for_its_headers() -> None:
    bench = ThrottleBench(tokens_per_minute=None)
    reply = bench.ask(*(want(f"w{n}") for n in range(10)))
    assert ids(reply) == ["w0"]
    assert bench.governor.stats(bench.now).probing
    bench.settle(reply.grants[0], "unknown")
    assert bench.governor.advance(bench.now) == ["w1"]
    [second] = bench.governor.collect(["w1"], bench.now).grants
    bench.answer(second, reading=LimitReading(tokens_limit=1000, tokens_remaining=800))
    assert bench.governor.advance(bench.now) == ["w2", "w3", "w4", "w5"]
    stats = bench.governor.stats(bench.now)
    assert not stats.probing
    assert stats.buckets["TPM"].source == "discovered"
    assert stats.buckets["TPM"].limit == 1000


def test_a_server_that_shows_no_limit_is_not_probed_for_ever() -> None:
    bench = ThrottleBench(tokens_per_minute=None)
    reply = bench.ask(*(want(f"w{n}") for n in range(10)))
    bench.answer(reply.grants[0], reading=LimitReading())
    assert len(bench.governor.advance(bench.now)) == 9


def test_with_a_configured_limit_there_is_no_probe() -> None:
    assert len(ThrottleBench().ask(want("a"), want("b")).grants) == 2


@pytest.mark.parametrize(("configured", "shown", "counts"), [(6000, 1000, 1000), (500, 1000, 500)])
def test_the_smaller_of_configured_and_discovered_wins(configured: int, shown: int, counts: int) -> None:
    bench = ThrottleBench(tokens_per_minute=configured)
    bench.answer(bench.grant("w0"), reading=LimitReading(tokens_limit=shown, tokens_remaining=shown - 200))
    stats = bench.governor.stats(bench.now)
    assert stats.buckets["TPM"].limit == counts
    assert stats.buckets["TPM"].credit <= counts - 200


def test_a_limit_that_changes_is_applied_but_not_from_an_older_request() -> None:
    bench = ThrottleBench(tokens_per_minute=None)
    bench.answer(bench.grant("w0"), reading=LimitReading(tokens_limit=1000, tokens_remaining=800))
    older, newer = bench.grant("w1"), bench.grant("w2")
    bench.answer(newer, reading=LimitReading(tokens_limit=3000, tokens_remaining=2400))
    bench.answer(older, reading=LimitReading(tokens_limit=1000, tokens_remaining=600))
    assert bench.governor.stats(bench.now).buckets["TPM"].limit == 3000


def test_a_header_below_our_credit_is_believed_and_one_above_it_is_not() -> None:
    bench = ThrottleBench()
    first, second = bench.grant("w0"), bench.grant("w1")
    bench.answer(first, reading=LimitReading(tokens_limit=6000, tokens_remaining=5000))  # 800 are somebody else's
    credit = bench.governor.stats(bench.now).buckets["TPM"].credit
    assert credit == pytest.approx(6000 - 400 - 600, abs=2)
    bench.grant("w2")
    bench.answer(second, reading=LimitReading(tokens_limit=6000, tokens_remaining=5999))  # older than w2
    assert bench.governor.stats(bench.now).buckets["TPM"].credit <= credit


def test_alone_in_flight_a_header_is_exact() -> None:
    bench = ThrottleBench()
    bench.settle(bench.grant("w0", prompt=3000, completion=500), "unknown")
    bench.answer(bench.grant("w1"), reading=LimitReading(tokens_limit=6000, tokens_remaining=5800))  # w0 never arrived
    assert bench.governor.stats(bench.now).buckets["TPM"].credit == pytest.approx(5800, abs=2)


def test_requests_per_day_in_the_headers_are_kept_too() -> None:
    bench = ThrottleBench()
    bench.answer(bench.grant("w0"), reading=LimitReading(requests_window_s=86_400, requests_limit=1000, requests_remaining=1))
    reply = bench.ask(want("w1"), want("w2"))
    assert ids(reply) == ["w1"]
    bench.answer(reply.grants[0], reading=LimitReading(requests_window_s=86_400, requests_limit=1000, requests_remaining=0))
    bench.ask(want("w2"))
    assert bench.governor.stats(bench.now).parked == "RPD"
    assert bench.granted(9.9, ["w2"]) == []
    assert bench.granted(0.2, ["w2"]) == ["w2"], "a probe"


# -- the gate -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait_s", [0.5, 28.0, 60.0])
def test_a_wait_of_a_minute_is_kept_to_the_end(wait_s: float) -> None:
    bench = ThrottleBench()
    bench.refuse(bench.grant("w0"), retry_after_s=wait_s)
    assert ids(bench.ask(want("w1"))) == []
    stats = bench.governor.stats(bench.now)
    assert (stats.gate_closed_for_s, stats.next_probe_in_s, stats.door, stats.door_bound_s) == (wait_s, wait_s, "cooldown", 60)
    assert bench.granted(wait_s - 0.001, ["w1"]) == []
    assert bench.granted(0.002, ["w1"]) == ["w1"]


@pytest.mark.parametrize(("wait_s", "asked_at"), [(61.0, [10, 61, 65, 73]), (578.016, [10, 30, 70, 115]), (86_400.0, [10, 30, 70, 115])])
def test_a_longer_wait_is_doubted_and_its_end_is_tried_exactly(wait_s: float, asked_at: list[float]) -> None:
    bench, probes = ThrottleBench(tokens_per_minute=10**6), []
    began = bench.now
    bench.refuse(bench.grant("w0"), retry_after_s=wait_s)
    assert bench.governor.stats(bench.now).door_bound_s == 45
    for n in range(4):
        bench.ask(want(f"n{n}"))
        assert bench.granted(60, [f"n{n}"]) == [f"n{n}"]
        [probe] = bench.governor.collect([f"n{n}"], bench.now).grants
        probes.append(bench.granted_at)
        bench.now = bench.granted_at
        bench.refuse(probe, retry_after_s=wait_s - (bench.now - began))
    assert probes == pytest.approx([began + at for at in asked_at])


def test_the_longest_wait_of_a_burst_counts_and_then_one_request_goes_first() -> None:
    bench = ThrottleBench()
    burst = [bench.grant(f"w{n}") for n in range(4)]
    for grant, wait_s in zip(burst, [5.0, 9.0, 3.0, 4.0], strict=True):
        bench.refuse(grant, kind="RPM", limit=100.0, used=90.0, requested=1, retry_after_s=wait_s)
    names = [f"n{n}" for n in range(5)]
    bench.ask(*(want(name) for name in names))
    assert bench.granted(8.99, names) == []
    assert bench.granted(1.0, names) == ["n0"]
    assert bench.governor.stats(bench.now).probing
    bench.answer(bench.governor.collect(["n0"], bench.now).grants[0])
    assert bench.governor.advance(bench.now) == names[1:]
    assert bench.governor.stats(bench.now).http_429 == 4


def test_a_long_wait_is_tried_early_once_when_what_was_reserved_came_back() -> None:
    bench = ThrottleBench()
    first, second, third = (bench.grant(f"w{n}", completion=1900) for n in range(3))
    bench.refuse(third, kind="TPM", limit=6000.0, used=4001.0, requested=2000, retry_after_s=59.0)
    bench.ask(*(want(name, completion=1900) for name in ("n0", "n1")))
    assert bench.granted(1.0, ["n0"]) == []
    bench.answer(first)
    bench.answer(second)
    assert bench.granted(1.0, ["n0", "n1"]) == ["n0"], "one request, to see whether it is so"
    bench.refuse(
        bench.governor.collect(["n0"], bench.now).grants[0], kind="TPM", limit=6000.0, used=401.0, requested=2000, retry_after_s=57.0
    )
    assert bench.granted(56.9, ["n1"]) == []


def test_without_a_hint_probes_come_ever_later() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6)
    waits = []
    for n in range(12):
        grant = bench.grant(f"w{n}")
        bench.refuse(grant)
        waits.append(bench.governor.stats(bench.now).gate_closed_for_s)
        bench.now += waits[-1] + 0.1
    assert waits == pytest.approx([1, 2, 4, 8, 8, 8, 8, 8, 8, 16, 30, 30])
    bench.answer(bench.grant("good"))
    bench.now += 1
    bench.refuse(bench.grant("again"))
    assert bench.governor.stats(bench.now).gate_closed_for_s == pytest.approx(1)


def test_a_burst_of_refusals_without_a_hint_is_one_refusal() -> None:
    bench = ThrottleBench()
    for grant in [bench.grant(f"w{n}") for n in range(20)]:
        bench.refuse(grant)
    assert bench.governor.stats(bench.now).gate_closed_for_s == pytest.approx(1)


@pytest.mark.parametrize("kind", ["RPM", "RPD", "TPD", "ITPM", "OTPM"])
def test_a_limit_named_by_a_429_becomes_a_bucket(kind: str) -> None:
    bench = ThrottleBench()
    bench.refuse(bench.grant("w0"), kind=kind, limit=1000.0, used=1000.0, requested=1, retry_after_s=0.01)
    stats = bench.governor.stats(bench.now)
    assert stats.buckets[kind].source == "discovered"
    assert stats.buckets[kind].credit <= 0.5  # rounding in "Used"
    assert ids(bench.ask(want("w1"))) == []


def test_the_limit_of_a_413_is_applied_and_closes_nothing() -> None:
    bench = ThrottleBench(tokens_per_minute=None)
    grant = bench.grant("w0", prompt=9000, completion=500)
    bench.refuse(grant, kind="TPM", limit=8000.0, requested=9500)
    stats = bench.governor.stats(bench.now)
    assert (stats.http_429, stats.gate_closed_for_s, stats.buckets["TPM"].limit) == (0, 0, 8000)
    assert len(bench.ask(want("w1"), want("w2")).grants) == 2


def test_rejected_and_unsent_requests_are_given_back() -> None:
    bench = ThrottleBench()
    grants = [bench.grant("w0", prompt=2000), bench.grant("w1", prompt=2000)]
    bench.settle(grants[0], "rejected")
    bench.settle(grants[1], "not_sent")
    stats = bench.governor.stats(bench.now)
    assert stats.buckets["TPM"].credit == 6000
    assert (stats.spent_usd, stats.reserved_usd, stats.in_flight) == (0, 0, 0)


REFILL = 600.0


def test_the_rate_that_readings_show_is_found() -> None:
    other_clients = OtherClients()
    for second in range(60):
        other_clients.took(300.0, float(second), REFILL)
    assert other_clients.rate == pytest.approx(300, rel=0.02)
    assert other_clients.margin(61.0, shown=True) == pytest.approx(3 * other_clients.rate)


def test_a_large_surprise_is_no_rate_that_a_limit_could_bear() -> None:
    other_clients = OtherClients()
    other_clients.took(0.0, 0.0, REFILL)
    other_clients.took(1_200_000.0, 0.1, REFILL)
    assert other_clients.rate == REFILL
    other_clients.shown = True
    assert other_clients.most(shown=True) == 5 * REFILL


def test_silence_of_the_others_is_believed_within_seconds() -> None:
    other_clients = OtherClients()
    other_clients.took(0.0, 0.0, REFILL)
    other_clients.took(60_000.0, 1.0, REFILL)
    for second in range(2, 32):
        other_clients.took(0.0, float(second), REFILL)
    assert other_clients.rate < 0.06 * REFILL
