"""What is drawn, for every kind of number."""

import json
import math
from dataclasses import replace

import pytest

from helix_ray._dashboard import accuracy, panels
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.snapshot import (
    BucketView,
    HistoryPoint,
    MetricsSnapshot,
    Money,
    QueueView,
    Rates,
    RunInfo,
    ThrottleView,
    Totals,
)
from helix_ray.records import Disposition, Read, ReadResult, ScoredVariant
from helix_ray.scoring.tally import Counts, ReadCounts

LIVE = MetricsSnapshot(
    as_of=1_700_000_000.0,
    run=RunInfo("run-1", "demo", "emulator", True, "m", 0.1, 1_699_999_000.0, "demo", 2000, max_cost_usd=1.0),
    state="RUNNING",
    reason="reads flow",
    rates=Rates(1234.5, 20, 19.9),
    totals=Totals(stored=1500, failures=2, http_429=3),
    queue=QueueView(waiting=480, redelivered=12, max_queue_depth=500, blocked=True),
    money=Money(0.0123, 0.001, 1.0),
    throttle=ThrottleView((BucketView("requests_per_minute", 1000, 12.0, source="discovered"),), in_flight=8),
    accuracy={"SNV": Counts(tp=8, fn=2, fn_near=1, query_tp=8, fp=1, fp_near=1)},
    ceiling={"SNV": Counts(tp=10, query_tp=10)},
    strata={"gc": {"0.3-0.4": Counts(tp=8, fn=2, query_tp=8, fp=1)}},
    read_sums=ReadCounts(reads=10, answered=10, exact=7, baseline_exact=10, invented=1),
    off_by=((-1, 1),),
)
STRANGE = replace(
    LIVE,
    rates=Rates(math.nan, math.inf, None),
    money=Money(math.nan, 0.0, None),
    queue=QueueView(waiting=10**12),
    run=replace(LIVE.run, simulated=False, reads_requested=None, started_at=math.nan),
    accuracy=(),
)


def test_cards_show_what_is_asked_of_them() -> None:
    shown = {card.label: card.value for card in panels.cards(LIVE)}
    assert shown == {
        "Ingestion rate": "1,234.5 reads/s",
        "Processed": "1,500",
        "Waiting reads": "492 / 500",
        "Cost of cap": "0.0123 USD",
        "Errors / 429": "2 / 3",
    }


@pytest.mark.parametrize("snapshot", [LIVE, STRANGE, MetricsSnapshot(as_of=0.0)])
def test_every_number_can_be_shown(snapshot: MetricsSnapshot) -> None:
    words = [card.value + card.note for card in panels.cards(snapshot)]
    words += [panels.state_line(snapshot), panels.run_lines(snapshot, 7.0), accuracy.title(snapshot)]
    tables = [
        panels.api_columns(snapshot),
        panels.actor_columns(snapshot),
        accuracy.type_columns(snapshot),
        accuracy.mistake_columns(snapshot),
        accuracy.stratum_columns(snapshot, "gc"),
    ]
    words += [cell for table in tables for column in table.values() for cell in column]
    assert not [text for text in words if "nan" in text or "inf" in text or "None" in text]


def test_the_api_and_the_throttle_in_words() -> None:
    held = replace(
        LIVE,
        slots=64,
        throttle=ThrottleView(
            in_flight=8, waiting=3, binding="concurrency", parked="RPD", parked_for_s=31, concurrency=8, breaker="half_open"
        ),
        totals=Totals(requests=200, resent=10, failures_by_kind=(("overloaded", 4),), reads_by_tier=(("flex", 90), ("on_demand", 5))),
        money=Money(0.0123, 0.001, 1.0, authorised_usd=0.05),
    )
    columns = panels.api_columns(held)
    rows = dict(zip(columns["what"], columns["now"], strict=True))
    assert rows["parked"] == "daily limit RPD used up, for 31 s; a request tries it now"
    assert rows["breaker"].startswith("the API kept failing")
    assert rows["held to"].startswith("8 of 64 requests in flight")
    assert rows["in flight"] == "8 of 8 requests"
    assert rows["wait for a permit"] == "3 requests, for concurrency"
    assert rows["on record as the most it can cost now"] == "0.0500 USD"
    assert rows["sent again after a failure"] == "10 requests, 5.0 %"
    assert rows["API over capacity (503)"] == "4"
    assert (rows["reads answered by tier flex"], rows["reads answered by tier on_demand"]) == ("90", "5")


def test_the_ceiling_stands_beside_the_models_accuracy() -> None:
    columns = accuracy.type_columns(LIVE)
    assert columns["type"] == ["SNV", "ALL"]
    assert columns["precision"] == ["88.9 %", "88.9 %"]
    assert columns["precision 95 %"][0] == "58.6 % to 98.8 %"
    assert columns["ceiling F1"] == ["100.0 %", "100.0 %"]
    assert accuracy.stratum_columns(LIVE, "gc")["recall"] == ["80.0 %"]
    assert "ceiling F1" not in accuracy.stratum_columns(LIVE, "gc")
    assert accuracy.title(LIVE).startswith("EMULATOR, scripted error rates: Accuracy")
    assert "reads exactly right: 70.0 %, by the aligner 100.0 %" in accuracy.title(LIVE)
    assert accuracy.title(STRANGE) == "Accuracy: no truth known"


def test_mistakes_are_counted_and_placed() -> None:
    columns = accuracy.mistake_columns(LIVE)
    assert columns["mistake"] == [
        "variants with no call near them",
        "variants called 1 to 5 bases off",
        "right place, other alleles",
        "reads with an invented call",
        "calls that are sequencing errors",
    ]
    assert columns["count"] == ["1", "1", "0", "1", "0"]
    assert columns["share"] == ["10.0 %", "10.0 %", "0.0 %", "10.0 %", "0.0 %"]
    spec, words = accuracy.distance_chart(LIVE)
    assert spec["series"][0]["data"] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert words == "EMULATOR: Wrong calls within 5 bases of a missed variant: 1, most of them -1 off"
    assert accuracy.mistake_columns(STRANGE)["count"] == []


def test_simulated_results_are_called_that() -> None:
    assert "EMULATOR" in (panels.emulator_text(LIVE) or "")
    assert "scaled by 0.1" in (panels.emulator_text(LIVE) or "")
    assert panels.emulator_text(STRANGE) is None


def point(t: float, waiting: int = 5, offered: float | None = 1.0) -> HistoryPoint:
    return HistoryPoint(t, waiting, 1, 2, offered, None, math.nan, 0, 0.0, blocked=False, paused=False)


def test_charts_break_the_line_where_nothing_was_heard() -> None:
    spec, words = panels.queue_chart([point(1), point(2), point(9, 499)], 500)
    assert spec["series"][0]["data"] == [[1000, 6], [2000, 6], [2001, None], [9000, 500]]
    assert spec["series"][0]["connectNulls"] is False
    assert spec["series"][0]["markLine"]["data"] == [{"yAxis": 500}]
    assert "500 of 500" in words


@pytest.mark.parametrize("points", [[], [point(1)], [point(1, offered=None), point(2, offered=math.inf)]])
def test_charts_are_valid_json_whatever_the_numbers(points: list[HistoryPoint]) -> None:
    for spec, words in (panels.queue_chart(points, 500), panels.rates_chart(points)):
        json.dumps(spec, allow_nan=False)
        assert spec["animation"] is False
        assert "nan" not in words


def test_a_recent_read_is_short_and_says_what_differs() -> None:
    read = Read(7, "hx7", "chr1", 0, "+", "ACGT", "ACGA", None, (), True, None, None, None)
    calls = [ScoredVariant("call", index, "A" * 30, "C", "SNV", None, 0.9, "ok", "FP", None) for index in range(1, 8)]
    truth = [
        ScoredVariant("truth", 4, "T", "A", "SNV", "snv", None, None, "FN", None),
        ScoredVariant("baseline", 4, "T", "A", "SNV", None, None, "ok", "TP", None),
    ]
    recent = RecentRead.from_result(ReadResult(read, Disposition.STORED, [*calls, *truth], mutation_detected=True))
    assert recent.calls[0] == "1 AAAAAAAAAAA…>C SNV"
    assert recent.calls[-1] == "and 2 more"
    assert recent.verdict == "7 FP, 1 FN"
    columns = panels.read_columns([recent])
    assert {len(column) for column in columns.values()} == {1}
