from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from test_results_report import admission, session, stored
from test_scoring_tally import scripted_results

from helix_ray.records import JsonObject
from helix_ray.results.accuracy import Asked, Effort, accuracy, ceiling, scoring
from helix_ray.results.html import render_html
from helix_ray.results.report import build_report
from helix_ray.scoring.scores import RunScores

HOSTILE = "<script>alert(1)</script> & \"quotes\" '=1+1'"
VOID = {"meta"}


def report(simulated: bool = True, task: str = "unassisted", **changes: object) -> JsonObject:
    scores = RunScores()
    for result in scripted_results(300):
        scores.add(result)
    told = scoring(scores, Asked("indexed10", "ab" * 32, task), Effort(0.5, 1000, 250.0, 20.0, 60.0, 0.03))
    made = session(simulated=simulated, accuracy=accuracy(scores), ceiling=ceiling(scores), scoring=told, **changes)
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
    assert not re.findall(r"(?:src|href)=|url\(|@import", page)
    assert re.findall(r"https?://[^\"]+", page) == ["http://www.w3.org/2000/svg"] * page.count("<svg")


def test_every_table_and_picture_of_the_emulator_says_so() -> None:
    captions = Reader(render_html(report())).captions
    assert len(captions) > 12
    assert all(caption.startswith("EMULATOR ") for caption in captions)
    assert not any("EMULATOR" in caption for caption in Reader(render_html(report(simulated=False))).captions)


def test_outside_text_is_shown_and_never_run() -> None:
    page = render_html(report(reason=HOSTILE, bottleneck=HOSTILE))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;" in page


def test_it_holds_what_the_report_holds() -> None:
    made = report()
    page = render_html(made)
    everything = made["accuracy"]["ALL"]
    assert f"<td>{everything['tp']:,}</td><td>{everything['fn']:,}</td><td>{everything['fp']:,}</td>" in page
    assert f"{made['scoring']['mistakes']['missed']['count']:,} of {made['scoring']['mistakes']['missed']['of']:,}" in page
    for dimension in ("subtype", "event", "n_truth", "length", "gc", "homopolymer", "third", "identifiable"):
        assert f"By {dimension}<" in page
    for words in ("not a clinical or germline variant caller", "McNemar", "expected calibration error", "ab" * 32, "ceiling F1"):
        assert words in page


def test_the_assisted_task_is_called_another_task() -> None:
    assert "another task" in render_html(report(task="assisted"))
    assert "another task" not in render_html(report())


def test_without_truth_there_is_agreement_and_no_precision() -> None:
    agreement = {"reads": 4, "reads_equal": 3, "both": 5, "only_call": 1, "only_baseline": 0}
    page = render_html(build_report(session(agreement=agreement), admission(), stored(4)))
    assert "Agreement with the aligner" in page
    assert "3 of 4 (75.0\u00a0%)" in page
    assert "this is not precision or recall" in page
    assert "How right is the model?" not in page


@pytest.mark.parametrize("known", [True, False])
def test_a_run_without_anything_is_a_page_too(known: bool) -> None:
    scores = RunScores()
    nothing = scoring(scores, Asked(None, None, None), Effort(0.0, 0, None, None, None, None))
    made = session(accuracy=accuracy(scores), ceiling=ceiling(scores), scoring=nothing)
    page = render_html(build_report(made, admission(0), stored(0) if known else None))
    assert Reader(page).open == []
    assert "None" not in page
    assert "nan" not in page
