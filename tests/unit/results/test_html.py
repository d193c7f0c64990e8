import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from helix_ray.records import JsonObject
from helix_ray.results.accuracy import Asked, Effort, accuracy, all_differences, ceiling, scoring
from helix_ray.results.html import render_html, template
from helix_ray.results.report import build_report
from helix_ray.scoring.scores import RunScores
from helix_ray.storage.ledger import Agreement
from support.report_values import admission, session, stored
from support.scripted_results import scripted_results

HOSTILE = "<script>alert(1)</script> & \"quotes\" '=1+1'"
TURNED = "abc\u202e\x1b[31m"
VOID = {"meta"}


def report(simulated: bool = True, task: str = "unassisted", preset: str = "bench", **changes: object) -> JsonObject:
    scores = RunScores()
    for result in scripted_results(300, preset):
        scores.add(result)
    told = scoring(scores, Asked("indexed10", "ab" * 32, task), Effort(0.5, 1000, 90_000.0, 250.0, 20.0, 60.0, 0.03))
    found = {"accuracy": accuracy(scores), "accuracy_all_differences": all_differences(scores), "ceiling": ceiling(scores)}
    made = session(simulated=simulated, scoring=told, **found, **changes)
    return build_report(made, admission(300), stored(300, stored=270, dead_letter=30))


class Reader(HTMLParser):
    """The tags that are open, and every caption with whether it bears the emulator's label."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.captions: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("caption", "figcaption"):
            self.captions.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"caption", "figcaption"} & set(self.open):
            self.captions[-1] += data


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    page = render_html(report())
    read = Reader(page)
    assert read.open == []
    assert not read.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.findall(r"(?:src|href)=|url\(|@import|https?:|//[a-z]", page)
    assert "default-src 'none'" in page, "even markup that came in could load and send nothing"


def test_every_table_and_picture_of_the_emulator_says_so() -> None:
    page = render_html(report())
    captions = Reader(page).captions
    assert len(captions) > 12
    assert all("EMULATOR" in caption for caption in captions)
    assert {len(re.findall(f"<{tag}[ >]", page)) for tag in ("table", "caption")} == {page.count("</table>")}
    assert not any("EMULATOR" in caption for caption in Reader(render_html(report(simulated=False))).captions)


def test_outside_text_is_shown_and_never_run() -> None:
    keys = {"run": {"name": HOSTILE}, HOSTILE: TURNED}
    made = report(
        reason=HOSTILE,
        bottlenecks={HOSTILE: 1},
        run_id=HOSTILE,
        model=HOSTILE,
        backend=HOSTILE,
        utilisation={HOSTILE: 0.5},
        configuration=keys,
    )
    told = made["scoring"]
    told["leniency"], told["outcomes"], told["prompt"] = {HOSTILE: 1}, {HOSTILE: 2}, HOSTILE
    told["confusion"] = {HOSTILE: {HOSTILE: 3}}
    told["by"]["subtype"] = {HOSTILE: told["by"]["subtype"].popitem()[1]}
    made["accuracy"][HOSTILE] = made["accuracy"]["SNV"]
    page = render_html(made)
    read = Reader(page)
    assert read.open == []
    assert not read.tags & {"script", "link", "img"}
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;") > 12
    assert "abc\\u202e\\u001b[31m" in page, "what turns the direction of writing, or colours a terminal, is shown by its code"
    assert TURNED not in page


def test_it_holds_what_the_report_holds() -> None:
    made = report()
    page = render_html(made)
    everything = made["accuracy"]["ALL"]
    assert f"{everything['tp']:,} / {everything['tp'] + everything['fn']:,}" in page
    assert f"{everything['f1']:.3f}" in page
    assert f"{everything['excluding_failed']['recall']:.3f}" in page
    assert f"{made['scoring']['mistakes']['missed']['count']:,} of {made['scoring']['mistakes']['missed']['of']:,}" in page
    for stratum in ("Subtype", "Event", "Variants in the read", "Window", "GC content", "Homopolymer", "Low complexity", "Identifiable"):
        assert f">{stratum} <" in page
    for words in (
        "not a clinical or germline variant caller",
        "McNemar",
        "Expected calibration error",
        "ab" * 32,
        "ceiling F1",
        "no answer",
    ):
        assert words in page


def test_with_sequencing_errors_all_differences_are_the_headline() -> None:
    made = report(preset="human")
    page, shown = render_html(made), made["accuracy_all_differences"]["ALL"]
    assert "F1, all differences" in page
    low, high = shown["ci"]["f1"]
    assert page.index(f"{shown['f1']:.3f}") < page.index(f"[{low:.3f}, {high:.3f}]") < page.index("Accuracy by type: all differences")
    assert "all differences <" not in render_html(report())
    assert "intervals by read: 300 clusters, design effect" in page


def test_cut_off_answers_mark_the_run() -> None:
    made = report()
    assert "CUT OFF" not in render_html(made | {"truncated_share": 0.01})
    assert "CUT OFF: 1.1 % of the answers reached analyzer.max_completion_tokens" in render_html(made | {"truncated_share": 0.011})


def test_counts_stand_in_the_confusion_with_their_share_of_the_row() -> None:
    made = report()
    made["scoring"]["confusion"] = {"SNV": {"SNV": 30, "INS": 6, "nothing": 4}, "nothing": {"SNV": 2}}
    (row,) = re.findall(r'<tr><th scope="row">SNV</th>(.*?)</tr>', render_html(made).split("what was called <")[1].split("</table>")[0])
    assert re.findall(r"--part:([0-9.]+)", row) == ["0.150", "0.750", "0.100", "0.000"]
    assert re.sub(r"<[^>]+>", " ", row).split() == ["6", "15.0", "%", "30", "75.0", "%", "4", "10.0", "%", "0"]


def test_the_configuration_is_shown_key_by_key() -> None:
    page = render_html(report(configuration={"run": {"name": "demo", "seed": 42}, "throttle": {"max_cost_usd": None}}))
    for key, value in (("run.name", "demo"), ("run.seed", "42"), ("throttle.max_cost_usd", "null")):
        assert re.search(f'>{key}</th><td><span class="mono">{value}</span>', page)


def test_an_interval_lies_around_its_dot_and_the_ceiling_is_a_tick() -> None:
    interval_plot = template("drawings.html").module.interval
    drawn = interval_plot(0.5, (0.4, 0.7), 1.0, "recall")
    assert [float(x) for x in re.findall(r' x1="([0-9.]+)"', drawn)] == [5.0, 127.0, 53.8]
    assert re.findall(r'cx="([0-9.]+)"', drawn) == ["66.0"]
    assert "circle" not in interval_plot(None, None, None, "nothing")


def test_bars_are_as_tall_as_their_counts() -> None:
    drawn = template("drawings.html").module.bars({"-2": 0, "-1": 10, "0": 5}, "bases", "distances")
    heights = [float(height) for height in re.findall(r'<rect[^>]* height="([0-9.]+)"', drawn)]
    assert heights == [126.0, 63.0]


def test_the_run_is_drawn_over_its_time_with_a_gap_where_nothing_is_known() -> None:
    made = report()
    assert "not recorded" in render_html(made)
    lists = {"waiting": [1, None, 400, 500], "redelivered": [0, None, 7, 0], "leased": [0, 9, 9, 9], "stored": [0.0, 5.0, 5.0, 4.0]}
    made["history"] = {
        "step_s": 2.0,
        "t": [12.0, 14.0, 16.0, 30.0],
        **lists,
        "offered": [9.5] * 4,
        "in_flight": [0] * 4,
        "spent_usd": [0.25] * 4,
    }
    page = render_html(made)
    depth = page.split("<title>Queue depth</title>")[1].split("</svg>")[0]
    assert re.findall(r'points="([^"]+)" class="curve "', depth) == ["2.0,1", "6.0,407", "20.0,500"]
    assert re.findall(r"scale\(([^)]+)\)", depth) == [f"{380 / 20} {-100 / 500}"]
    assert "<title>Pace</title>" in page
    assert "<title>Requests in flight</title>" not in page, "none ever was"
    assert "not recorded" not in page


def test_the_assisted_task_is_called_another_task() -> None:
    assert "This is another task" in render_html(report(task="assisted"))
    assert "another task" not in render_html(report())


def test_without_truth_there_is_agreement_and_no_precision() -> None:
    agreement = Agreement(reads=4, reads_equal=3, both=5, only_call=1, only_baseline=0)
    page = render_html(build_report(session(agreement=agreement), admission(), stored(4)))
    assert "Agreement with the aligner" in page
    assert "75.0 %" in page
    assert "3 of 4 reads" in page
    assert "recision" not in page
    assert "ecall" not in page


@pytest.mark.parametrize("known", [True, False])
def test_a_run_without_anything_is_a_page_too(known: bool) -> None:
    scores = RunScores()
    nothing = scoring(scores, Asked(None, None, None), Effort(0.0, 0, 0.0, None, None, None, None))
    made = session(accuracy=accuracy(scores), ceiling=ceiling(scores), scoring=nothing)
    page = render_html(build_report(made, admission(0), stored(0) if known else None))
    assert Reader(page).open == []
    assert "None" not in page
    assert "nan" not in page


def test_the_page_tells_why_it_was_slow_and_how_the_api_failed() -> None:
    counted = replace(stored(300, stored=300), resent=15, failures={"capacity": 9}, reads_by_tier={"flex": 280, "on_demand": 20})
    made = session(bottlenecks={"tokens": 9, "producer": 1}, authorised_usd=Decimal("0.5"))
    page = render_html(build_report(made, admission(300), counted))
    words = ("tokens 90 %, producer 10 %", "no room in the flex tier (498) 9", "15 (5.0 % of all)", "flex 280, on_demand 20", "$0.500000")
    assert not [each for each in words if each not in page]
