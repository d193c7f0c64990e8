"""The arithmetic of a forecast: buckets, tiers, what ends a run early. Figures are chosen so that the answers are round."""

from decimal import Decimal
from typing import Any

import pytest

from helix_ray.config import Config
from helix_ray.forecast import estimate as forecasting
from helix_ray.forecast.estimate import SESSION_S, Demand, Forecast, Resumed, Service, Timing, completion_tokens, estimate, latency_s
from helix_ray.forecast.workload import SampledRead, Workload
from helix_ray.providers.prices import ModelPrice, Tariff

DOLLAR_A_MILLION = Tariff(ModelPrice(Decimal("1e-6"), Decimal("5e-7"), Decimal("1e-6")), 1000, "a test")
ONE = Demand(reads=1, requests=1, prompt=80, completion=20, reserved=50, worst_prompt=150, worst_usd=0.0002)
INSTANT = Service("a service", ({},), latency_scale=0.0, round_trip_s=0.0)


@pytest.fixture(autouse=True)
def _round_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read is one request of 80 prompt tokens and 20 of 50 answer tokens."""
    monkeypatch.setattr(forecasting, "_per_read", lambda *_: ONE)


def config(count: int | None = 1000, **sections: dict[str, Any]) -> Config:
    source = {"count": count, **sections.pop("source", {})}
    return Config.model_validate({"source": source, **sections})


def work(records: int | None = 1000, share: float = 1.0) -> Workload:
    return Workload(records, True, 1, share, [])


def serving(*tiers: dict[str, float], **changed: Any) -> Service:
    given = {"latency_scale": 0.0, "round_trip_s": 0.0, **changed}
    return Service("a service", tiers or ({},), **given)


def estimated(settings: Config, service: Service, share: float = 1.0, resumed: Resumed | None = None) -> tuple[Forecast, Timing]:
    forecast = estimate(settings, work(settings.source.count, share), DOLLAR_A_MILLION, [service], 10**6, resumed)
    (timing,) = forecast.timings
    return forecast, timing


def seconds_at(timing: Timing, name: str) -> float:
    return next(row.seconds for row in timing.limits if row.name == name)


def test_money_is_tokens_times_prices_and_worst_is_what_is_reserved() -> None:
    forecast, _ = estimated(config(), INSTANT)
    assert (forecast.planned, forecast.demand.requests, forecast.demand.prompt) == (1000, 1000, 80_000)
    assert forecast.cost_usd == pytest.approx(0.1)
    assert forecast.worst_usd == pytest.approx(0.2)


def test_reads_that_are_not_sent_cost_nothing() -> None:
    forecast, _ = estimated(config(), INSTANT, share=0.25)
    assert (forecast.planned, forecast.demand.reads, forecast.cost_usd) == (1000, 250, pytest.approx(0.025))


@pytest.mark.parametrize(
    ("kind", "limit", "seconds"),
    [
        ("RPM", 400, 90.0),  # 600 of 1,000 beyond the full bucket, at 400 a minute
        ("RPM", 1000, 0.0),
        ("RPD", 500, 86_400.0),
        ("ITPM", 40_000, 60.0),
        ("TPM", 50_030, 60.0),  # and one request in flight holds 30 tokens that it will not use
        ("OTPM", 10_015, 60.0),
        ("TPD", 50_030, 86_400.0),
    ],
)
def test_a_bucket_is_full_at_the_start_and_refills(kind: str, limit: int, seconds: float) -> None:
    _, timing = estimated(config(), serving({kind: limit}))
    assert seconds_at(timing, kind) == pytest.approx(seconds, rel=1e-3)
    if seconds:
        assert timing.binding == kind
        assert timing.seconds == pytest.approx(seconds + SESSION_S, rel=1e-3)


def test_without_refund_every_reserved_token_counts() -> None:
    _, timing = estimated(config(), serving({"TPM": 65_000}, refunds=False))
    assert seconds_at(timing, "TPM") == pytest.approx(60.0)


def test_the_smaller_of_configured_and_published_binds_and_safety_cuts_both() -> None:
    settings = config(throttle={"requests_per_minute": 500, "tokens_per_minute": 10**9, "safety_factor": 0.5})
    _, timing = estimated(settings, serving({"RPM": 800.0, "TPM": 10.0**6}))
    rows = {row.name: (row.limit, row.said_by) for row in timing.limits}
    assert rows["RPM"] == (250.0, "configuration")
    assert rows["TPM"] == (500_000.0, "service")
    assert rows["RPD"] == (None, "none")


def test_two_tiers_add_up_and_a_configured_limit_holds_in_each() -> None:
    _, timing = estimated(config(throttle={"requests_per_minute": 300}), serving({"RPM": 100.0}, {"RPM": 1000.0}))
    assert next(row.limit for row in timing.limits if row.name == "RPM") == 400.0


def test_what_is_not_published_says_so_and_never_binds() -> None:
    _, timing = estimated(config(), serving({"RPM": 400.0}, all_published=False))
    assert next((row.limit, row.seconds, row.said_by) for row in timing.limits if row.name == "TPD") == (None, 0.0, "not published")


def test_requests_in_flight_bind_when_answers_are_slow() -> None:
    settings = config(analyzer={"workers": 1, "requests_in_flight": 10})
    _, timing = estimated(settings, serving(latency_scale=0.0, round_trip_s=2.0))
    assert (timing.binding, timing.seconds) == ("requests in flight", pytest.approx(200.0 + 2 * 2.0 + SESSION_S))


def test_a_paced_source_binds() -> None:
    _, timing = estimated(config(source={"rate_per_s": 2.0}), INSTANT)
    assert (timing.binding, seconds_at(timing, "source.rate_per_s")) == ("source.rate_per_s", 500.0)


def test_the_cap_stops_a_run_within_one_request_of_it() -> None:
    forecast, timing = estimated(config(throttle={"max_cost_usd": 0.0502}), serving({"RPM": 100.0}))
    (stop,) = timing.stops
    assert (stop.by, stop.after_records) == ("throttle.max_cost_usd", 500)
    assert stop.cost_usd == pytest.approx(0.05)
    assert stop.seconds == pytest.approx(240.0 + SESSION_S)
    assert forecast.cost_usd == pytest.approx(0.1), "the figures are for the whole run all the same"


def test_a_cap_below_one_request_pays_for_nothing() -> None:
    _, timing = estimated(config(throttle={"max_cost_usd": 0.0001}), INSTANT)
    assert [(stop.after_records, stop.cost_usd) for stop in timing.stops] == [(0, 0.0)]


def test_stops_come_in_the_order_in_which_they_happen() -> None:
    settings = config(run={"max_duration_s": SESSION_S + 60.0}, throttle={"max_cost_usd": 0.0902, "on_daily_limit": "stop"})
    _, timing = estimated(settings, serving({"RPM": 100.0, "RPD": 800.0}))
    assert [(stop.by, stop.after_records) for stop in timing.stops] == [
        ("run.max_duration_s", 200),
        ("RPD", 800),
        ("throttle.max_cost_usd", 900),
    ]


def test_an_endless_source_is_as_long_as_the_cap_pays_for() -> None:
    forecast, timing = estimated(config(None, throttle={"max_cost_usd": 0.0502}), INSTANT)
    assert (forecast.records, forecast.planned, timing.stops) == (None, 500, [])


def test_a_resumed_run_has_less_to_do_and_less_to_spend() -> None:
    forecast, timing = estimated(config(throttle={"max_cost_usd": 0.1002}), INSTANT, resumed=Resumed("a run", 400, 0.06))
    assert (forecast.planned, forecast.cost_usd) == (600, pytest.approx(0.06))
    assert [(stop.by, stop.after_records) for stop in timing.stops] == [("throttle.max_cost_usd", 400)]


def test_nothing_to_analyse_takes_no_time() -> None:
    forecast, timing = estimated(config(), serving({"RPM": 1.0}), share=0.0)
    assert (forecast.cost_usd, timing.seconds) == (0.0, 0.0)


def test_an_answer_grows_with_calls_effort_work_and_reads() -> None:
    call = (12, "A", "T")
    low = completion_tokens([[]], effort="low", packed=False, work=False)
    assert completion_tokens([[call]], effort="low", packed=False, work=False) > low + 20
    assert completion_tokens([[]], effort="medium", packed=False, work=False) > low + 60
    assert completion_tokens([[]], effort="low", packed=False, work=True) > low
    assert completion_tokens([[], []], effort="low", packed=True, work=False) < 2 * completion_tokens(
        [[]], effort="low", packed=True, work=False
    )
    assert latency_s(1000, 500, 1000) == pytest.approx(0.545, abs=0.01)


class TestCounting:
    """From sampled reads to their mean demand."""

    @pytest.fixture(autouse=True)
    def _round_figures(self) -> None:
        """Not here."""

    @staticmethod
    def per_read(reads: int, **analyzer: Any) -> Demand:
        settings = Config.model_validate({"analyzer": analyzer})
        sampled = [SampledRead("ACGT" * 30, "ACGT" * 30, [], 2.5)] * reads
        return forecasting._per_read(settings, sampled, DOLLAR_A_MILLION)

    def test_packing_shares_the_instructions(self) -> None:
        alone, packed = self.per_read(10), self.per_read(10, reads_per_request=5)
        assert (alone.reads, alone.requests) == (pytest.approx(1), pytest.approx(1))
        assert packed.requests == pytest.approx(0.2)
        assert packed.prompt < 0.7 * alone.prompt
        assert packed.worst_usd < alone.worst_usd

    def test_the_last_request_may_hold_fewer(self) -> None:
        assert self.per_read(11, reads_per_request=5).requests == pytest.approx(3 / 11)

    def test_an_answer_that_does_not_fit_is_paid_and_repeated_with_twice_the_room(self) -> None:
        fits, cut = self.per_read(4), self.per_read(4, max_completion_tokens=40)
        assert (fits.repairs, cut.repairs) == (0, pytest.approx(1))
        assert cut.requests == pytest.approx(2)
        assert cut.completion == pytest.approx(40 + fits.completion)
        assert cut.reserved == pytest.approx(40 + 80)

    def test_no_reads_ask_for_nothing(self) -> None:
        assert self.per_read(0) == Demand()
