"""What kinds of mistakes there are, how far off, and how reads came out as a whole."""

from __future__ import annotations

from helix_ray.records import JsonObject
from helix_ray.results.html.drawing import bar_chart, interval_plot
from helix_ray.results.html.parts import Parts, Row, cell, heat, section, words
from helix_ray.results.html.tags import Html, join, tag
from helix_ray.results.words import count, percent, percents, share
from helix_ray.scoring.proximity import MISTAKES


def mistakes_section(report: JsonObject, parts: Parts) -> Html:
    scoring = report["scoring"]
    counts = {int(offset): number for offset, number in scoring["off_by"].items()}
    off_by = parts.figure(
        "Off by k",
        bar_chart(
            counts, sorted(counts), "the call's position minus the truth's, in bases", "Wrong calls by their distance from a missed truth"
        ),
        "Wrong calls by their distance from the missed truth that they lie nearest to; 0: the right place with other alleles.",
    )
    rates = [Row(told, _rate_cells(scoring["mistakes"][key], told)) for key, told in MISTAKES.items()]
    table = parts.table(
        "Error rates",
        ["mistake", "rate", "", "count"],
        rows=rates,
        about="Of the reads that got an answer. Calls that do not fit their window at all are among these, by where they point.",
    )
    return section("Mistakes", None, tag("div", table, off_by, class_="pair"))


def reads_section(report: JsonObject, parts: Parts) -> Html:
    reads = report["scoring"]["reads"]
    exact = [
        Row("the model", _rate_cells(reads["exact"], "the model")),
        Row("the aligner", _rate_cells(reads["baseline_exact"], "the aligner")),
    ]
    test, residual = reads["mcnemar"], reads["residual_edits_per_truth_edit"]
    about = (
        "The calls spell the true sequence; a read without an answer is not exact. "
        f"{count(test['only_model'])} reads by the model alone, {count(test['only_baseline'])} by the "
        f"aligner alone; exact McNemar test: p {_p_words(test['p'])}. Bases that still differ with "
        f"the calls applied, for each true changed base: {share(residual)}."
    )
    return section(
        "Reads as a whole",
        None,
        tag(
            "div",
            parts.table("Described exactly", ["caller", "reads", "", "count"], exact, about),
            _detection(reads, parts),
            class_="pair",
        ),
    )


def _detection(found: JsonObject, parts: Parts) -> Html:
    tp, fp, fn, tn = (found[key] for key in ("true_positive", "false_positive", "false_negative", "true_negative"))
    rows = [
        Row("with variants", [cell(f"{tp + fn:,}"), heat(tp, tp + fn), heat(fn, tp + fn, wrong=True)]),
        Row("without variants", [cell(f"{fp + tn:,}"), heat(fp, fp + tn, wrong=True), heat(tn, fp + tn)]),
    ]
    about = (
        f"Sensitivity {_with_interval(found['sensitivity'])}, specificity {_with_interval(found['specificity'])}, Matthews' correlation "
        f"{share(found['mcc'])}. A sequencing error that is called makes a read without variants a "
        "detected one. A read without an answer misses its variants; if it has none it is not counted here."
    )
    return parts.table("Is there any variant at all?", ["true", "reads", "difference called", "none called"], rows, about)


def _p_words(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}"


def _with_interval(rate: JsonObject) -> str:
    return percent(rate["rate"]) + (f" ({percents(rate['ci'])})" if rate["ci"] else "")


def _rate_cells(rate: JsonObject, told: str) -> list[Html]:
    number = join(percent(rate["rate"]), tag("span", percents(rate["ci"]), class_="ci") if rate["ci"] else None)
    plot = words(interval_plot(rate["rate"], rate["ci"], None, told))
    return [cell(number), plot, cell(f"{rate['count']:,} of {rate['of']:,}")]
