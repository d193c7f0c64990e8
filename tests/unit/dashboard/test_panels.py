"""What is drawn, for every kind of number."""

import math
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from helix_ray._dashboard import accuracy, panels
from helix_ray._dashboard.feed import View
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.snapshot import (
    Bottleneck,
    BucketView,
    MetricsSnapshot,
    Money,
    QueueView,
    Rates,
    RunInfo,
    SinkView,
    StageView,
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
    accuracy={"SNV": Counts(tp=8, fn=2, fn_near=1, fp=1, fp_near=1)},
    ceiling={"SNV": Counts(tp=10)},
    strata={"gc": {"0.3-0.4": Counts(tp=8, fn=2, fp=1)}},
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


def table(drawn: str, place: int = 0) -> dict[str, list[str]]:
    """The columns of a table in the HTML."""
    found = re.findall(r"<table.*?</table>", drawn, re.DOTALL)[place]
    head, cells = ([unescape(it) for it in re.findall(f"<{tag}(?: .*?)?>(.*?)</{tag}>", found)] for tag in ("th", "td"))
    return {name: cells[at :: len(head)] for at, name in enumerate(head)}


def test_the_cells_say_what_is_asked_of_them() -> None:
    drawn = panels.cells(View(LIVE, live=True))
    for shown in (
        ">1,234<",
        ">20<",
        "<b>1,500</b> of 2,000",
        ">492 <small>/ 500<",
        "‖ BLOCKED until 100 left",
        "99 % of requests_per_minute used",
    ):
        assert shown in drawn
    for shown in ("$0.0123 <small>of $1.00", "12 × 429", "▲ 10.0 % fail", "0.842", "95 %: [0.606, 0.956]", "recall 0.800"):
        assert shown in panels.cells(View(replace(LIVE, totals=Totals(requests=20, failures=2, http_429=12)), live=True))
    assert "no truth" in panels.cells(View(STRANGE, live=True))


def test_what_is_not_known_is_a_dash_and_not_nothing() -> None:
    over = panels.cells(View(MetricsSnapshot(as_of=0.0, run=RunInfo("run-1"), state="COMPLETE")))
    assert "– <small>/ 500" in over
    assert "most – · blocked –" in over
    assert "not blocked" not in over


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        (View(LIVE, live=True), ["is-good", "▶ RUNNING", "reads flow"]),
        (View(replace(LIVE, bottleneck=Bottleneck("tokens", "31 wait", "throttle")), live=True), ["Held by tokens: 31 wait"]),
        (
            View(LIVE, live=True, age_s=5.0, problem="silent"),
            ["is-old", "LAST SEEN RUNNING", "(5 s ago)", "not answered for 5 s", "silent"],
        ),
        (View(replace(LIVE, run=replace(LIVE.run, simulated=False, provider="vllm")), live=True), ["<span>m by vllm</span>"]),
        (View(LIVE, lost=True, age_s=2.0), ["is-old", "LAST SEEN RUNNING", "process is gone"]),
        (View(replace(LIVE, state="FAILED")), ["is-bad", "✗ FAILED", "No live run", "2023-11-14 22:13:20 UTC"]),
        (View(replace(LIVE, elapsed_s=723, progress=0.614, eta_s=440), live=True), ["12 m 03 s", "61 %, done in ~7 m 20 s"]),
        (View(replace(LIVE, run=RunInfo()), live=True), ["Run unknown yet"]),
        (View(problem="no live run in /home"), ["NO RUN YET", "no live run in /home"]),
    ],
)
def test_the_bar_says_how_the_run_stands(view: View, shown: list[str]) -> None:
    drawn = panels.top(view)
    assert [words for words in shown if words not in drawn] == []


def test_a_run_that_was_started_here_is_told_until_it_is_seen() -> None:
    assert "A run is starting" in panels.top(View(), starting=True)
    failed = panels.top(View(), code=2, tail="<b>no key</b>")
    assert "exit code 2" in failed
    assert "&lt;b&gt;no key" in failed
    assert "exit code" not in panels.top(View(LIVE, live=True), code=2)


def test_the_guilty_stage_is_framed_and_says_so() -> None:
    stages = (*(StageView(name, 0.97, 0.0, 0.03) for name in ("source", "queue", "throttle")), StageView("sink"))
    drawn = panels.cells(View(replace(LIVE, stages=stages, bottleneck=Bottleneck("tokens", "", "throttle")), live=True))
    assert drawn.count("guilty") == drawn.count("holds the run") == 1
    assert drawn.count("busy 97 · blocked 0 · idle 3 %") == 3
    assert "not known" in drawn


def test_each_update_names_the_banner_anew() -> None:
    assert [f"beat-{beat % 2}" in panels.late_banner(beat) for beat in range(3)] == [True] * 3
    css = Path(panels.__file__).with_name("page.css").read_text()
    assert "linear 4s 1 forwards" in css
    assert "No update for 4 seconds" in panels.late_banner(0)


@pytest.mark.parametrize("snapshot", [LIVE, STRANGE, MetricsSnapshot(as_of=0.0)])
def test_every_number_can_be_shown(snapshot: MetricsSnapshot) -> None:
    view = View(snapshot, live=True, age_s=7.0)
    drawn = [panels.cells(view), panels.top(view), accuracy.title(snapshot), panels.limits(snapshot), panels.actors(snapshot)]
    drawn += [panels.types(snapshot), panels.mistaken(snapshot), panels.stratum(snapshot, "gc"), panels.reconciliation(snapshot)]
    assert not [found for text in drawn if (found := re.search(r"\b(nan|inf|None)\b", text))]


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
    columns = table(panels.limits(held), 1)
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
    columns = table(panels.types(LIVE))
    assert columns["type"] == ["SNV", "ALL"]
    assert columns["precision"] == ["0.889 [0.586, 0.988]"] * 2
    assert columns["ceiling F1"] == ["1.000", "1.000"]
    assert table(panels.stratum(LIVE, "gc"))["recall"] == ["0.800 [0.497, 0.956]"]
    assert "ceiling F1" not in panels.stratum(LIVE, "gc")
    assert accuracy.title(LIVE).startswith("EMULATOR, scripted error rates: Accuracy")
    assert "reads exactly right: 70.0 %, by the aligner 100.0 %" in accuracy.title(LIVE)
    assert accuracy.title(STRANGE) == "Accuracy: no truth known"


def test_mistakes_are_counted_and_placed() -> None:
    columns = table(panels.mistaken(LIVE))
    assert columns["mistake"] == [
        "variants with no call near them",
        "variants called 1 to 5 bases off",
        "right place, other alleles",
        "reads with an invented call",
        "calls that are sequencing errors",
        "reads with a call right by the read's numbering",
    ]
    assert columns["count"] == ["1", "1", "0", "1", "0", "0"]
    assert columns["share"] == ["10.0 %", "10.0 %", "0.0 %", "10.0 %", "0.0 %", "0.0 %"]
    spec, words = accuracy.distance_chart(LIVE)
    assert spec["series"][0]["data"] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert words == "EMULATOR: Wrong calls within 5 bases of a missed variant: 1, most of them -1 off"
    assert table(panels.mistaken(STRANGE))["count"] == []


def test_simulated_results_are_called_that() -> None:
    drawn = panels.top(View(LIVE, live=True))
    assert "EMULATOR: scripted error rates; says nothing about any LLM (latencies scaled by 0.1)" in drawn
    assert "EMULATOR" not in panels.top(View(STRANGE, live=True))


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


def test_the_books_add_up_while_reads_move() -> None:
    moving = QueueView(waiting=40, redelivered=3, leased=7, admitted=250, acked=200)
    drawn = panels.reconciliation(replace(LIVE, queue=moving, sink=SinkView(unacked=5)))
    assert "= 0<" in drawn
    assert "5 are committed and not yet acknowledged" in drawn
    assert '<span class="hx-sum bad">= 2<' in panels.reconciliation(replace(LIVE, queue=replace(moving, acked=198)))
    assert "difference" not in panels.reconciliation(replace(LIVE, queue=QueueView())), "of a past run only the rows are known"


def test_what_would_turn_the_writing_is_shown_as_its_code() -> None:
    assert "hx\\u202e7\\u0000" in panels.top(View(replace(LIVE, run=replace(LIVE.run, name="hx\u202e7\x00")), live=True))
