"""How right the calls are: by type, by kind of mistake, read by read, along the model's confidence, and by stratum."""

from __future__ import annotations

import re
from math import sqrt

from helix_ray.results.accuracy import Compared
from helix_ray.results.formatting import count, percent, percents, share
from helix_ray.results.html.parts import Html, Parts, Row, Square, bar_chart, cell, heat, interval_plot, join, measure, plain, section, tag
from helix_ray.results.schema import MEASURES, Confidence, ReadsScored, Scoring
from helix_ray.scoring import scores
from helix_ray.scoring.proximity import MISTAKES
from helix_ray.scoring.statistics import Calibration, jeffreys
from helix_ray.scoring.summary import ALL, Measures, Rate

KEY = join(
    tag("span", tag("i"), "the model, with its 95 % interval", class_="key"),
    tag("span", tag("i", class_="tick"), "the aligner on the same reads: the ceiling", class_="key"),
)

NAMES = {
    "subtype": ("Subtype", "ti, tv: transitions and transversions; I, D, C: insertions, deletions, both at once, by length in bases"),
    "event": ("Event", "what the generator did; a call has no event, so that only recall is known"),
    "n_truth": ("Variants in the read", "true ones"),
    "length": ("Window", "bases"),
    "gc": ("GC content", "of the window, 0 to 1"),
    "homopolymer": ("Longest homopolymer", "of the window, in bases"),
    "third": ("Place in the window", "thirds, from the left"),
    "identifiable": ("Identifiable", "whether the truth can be told from window and read alone"),
}


def accuracy_section(rows: list[Compared], scoring: Scoring, parts: Parts) -> Html:
    lead = (
        "Calls against the injected truth. A read whose calls spell the true sequence is right, however the variants are named. "
        "Truths and calls are counted each on its own side; a read without an answer misses all of its truth."
    )
    return section("Accuracy by type", lead, tag("p", KEY), _measures(rows, parts), _without_failed(rows, scoring, parts))


def confusion_section(rows: list[Compared], scoring: Scoring, parts: Parts) -> Html:
    truths = parts.table(
        "What became of the true variants",
        ["true type", "variants", "found", "other alleles", "1–5 bases off", "missed", "no answer"],
        [Row(kind, [cell(f"{row['tp'] + row['fn']:,}"), *_fates(row)], kind == ALL) for kind, row, _ in rows],
        "Each row adds up to its variants.",
    )
    calls = parts.table(
        "What the calls were",
        ["called type", "calls", "right", "sequencing error", "other alleles", "1–5 bases off", "nothing there", "of these invalid"],
        [Row(kind, [cell(f"{row['query_tp'] + row['fp']:,}"), *_kinds(row)], kind == ALL) for kind, row, _ in rows],
        "Invalid calls name bases that the window does not hold, or contradict each other; they are among the wrong ones.",
    )
    lead = "True variants against what was called for them, and calls against what is there."
    return section("Confusion by type", lead, _types(scoring["confusion"], parts), truths, calls)


def _types(confusion: dict[str, dict[str, int]], parts: Parts) -> Html:
    """What stood there by what was called."""
    apart = (scores.NOTHING, scores.NO_ANSWER)
    called = [*sorted({name for row in confusion.values() for name in row} - set(apart)), *apart]
    names = {scores.NOTHING: "missed", scores.NO_ANSWER: "no answer"}
    rows = []
    for truth, row in sorted(confusion.items(), key=lambda item: (item[0] == scores.NOTHING, item[0])):
        of = sum(row.values())
        rows.append(Row(truth, [heat(row.get(name, 0), of, wrong=name != truth) for name in called]))
    head = ["there was", *(names.get(name, f"called {name}") for name in called)]
    about = "Called there or within 5 bases, the alleles right or not. Row «nothing»: calls that no variant is near to."
    return parts.table("Types: what was there, and what was called", head, rows, about)


def _measures(levels: list[Compared], parts: Parts) -> Html:
    rows = []
    for kind, row, ceiling in levels:
        cells = [cell(f"{row['tp']:,} / {row['tp'] + row['fn']:,}")]
        for key in MEASURES:
            plot = interval_plot(row[key], row["ci"][key], ceiling[key], f"{key} of {kind}")
            cells += [measure(row[key], row["ci"][key]), plain(plot)]
        rows.append(Row(kind, [*cells, measure(ceiling["f1"])], kind == ALL))
    head = ["type", "found / true", "recall", "", "precision", "", "F1", "", "ceiling F1"]
    return parts.table("Recall, precision and F1 by type", head, rows, "95 % intervals: Jeffreys; of F1 a bootstrap over reads.")


def _without_failed(levels: list[Compared], scoring: Scoring, parts: Parts) -> Html | None:
    failed, of = scoring["failed"], scoring["reads"]["reads"]
    if not failed["reads"]:
        return None
    rows = []
    for kind, row, _ in levels:
        answered = row["excluding_failed"]
        recalls = [measure(row["recall"], row["ci"]["recall"]), measure(answered["recall"], answered["ci"]["recall"])]
        rows.append(Row(kind, [*recalls, measure(row["f1"]), measure(answered["f1"])], kind == ALL))
    about = (
        f"{failed['reads']:,} of {of:,} reads ended without a usable answer (dead letters); they held {failed['truths']:,} true "
        "variants. All reads: these count as missed (intention to treat). Answered reads only: as if the others had never been asked about."
    )
    head = ["type", "recall, all reads", "recall, answered reads only", "F1, all reads", "F1, answered reads only"]
    return parts.table("With and without the reads that got no answer", head, rows, about)


def _fates(row: Measures[int]) -> list[Html]:
    truths = row["tp"] + row["fn"]
    missed = row["fn"] - row["fn_allele"] - row["fn_near"] - row["fn_failed"]
    wrong = (row["fn_allele"], row["fn_near"], missed, row["fn_failed"])
    return [heat(row["tp"], truths), *(heat(count, truths, wrong=True) for count in wrong)]


def _kinds(row: Measures[int]) -> list[Html]:
    calls = row["query_tp"] + row["fp"]
    nothing = row["fp"] - row["fp_error"] - row["fp_allele"] - row["fp_near"]
    wrong = (row["fp_error"], row["fp_allele"], row["fp_near"], nothing)
    return [heat(row["query_tp"], calls), *(heat(count, calls, wrong=True) for count in wrong), cell(f"{row['fp_invalid']:,}")]


def mistakes_section(scoring: Scoring, parts: Parts) -> Html:
    counts = {int(offset): number for offset, number in scoring["off_by"].items()}
    label = "Wrong calls by their distance from a missed truth"
    bars = bar_chart(counts, sorted(counts), "the call's position minus the truth's, in bases", label)
    about = "Wrong calls by their distance from the missed truth that they lie nearest to; 0: the right place with other alleles."
    off_by = parts.figure("Off by k", bars, about)
    rates = [Row(meaning, _rate_cells(scoring["mistakes"][key], meaning)) for key, meaning in MISTAKES.items()]
    about = "Of the reads that got an answer. Calls that do not fit their window at all are among these, by where they point."
    table = parts.table("Error rates", ["mistake", "rate", "", "count"], rates, about)
    return section("Mistakes", None, tag("div", table, off_by, class_="pair"))


def reads_section(scoring: Scoring, parts: Parts) -> Html:
    reads = scoring["reads"]
    callers = {"the model": reads["exact"], "the aligner": reads["baseline_exact"]}
    exact = [Row(caller, _rate_cells(found, caller)) for caller, found in callers.items()]
    test, residual = reads["mcnemar"], reads["residual_edits_per_truth_edit"]
    p = "< 0.0001" if test["p"] < 0.0001 else f"= {test['p']:.4f}"
    about = (
        "The calls spell the true sequence; a read without an answer is not exact. "
        f"{count(test['only_model'])} reads by the model alone, {count(test['only_baseline'])} by the aligner alone; exact McNemar test: "
        f"p {p}. Bases that still differ with the calls applied, for each true changed base: {share(residual)}."
    )
    described = parts.table("Described exactly", ["caller", "reads", "", "count"], exact, about)
    return section("Reads as a whole", None, tag("div", described, _detection(reads, parts), class_="pair"))


def _detection(found: ReadsScored, parts: Parts) -> Html:
    tp, fp, fn, tn = found["true_positive"], found["false_positive"], found["false_negative"], found["true_negative"]
    rows = [
        Row("with variants", [cell(f"{tp + fn:,}"), heat(tp, tp + fn), heat(fn, tp + fn, wrong=True)]),
        Row("without variants", [cell(f"{fp + tn:,}"), heat(fp, fp + tn, wrong=True), heat(tn, fp + tn)]),
    ]
    about = (
        f"Sensitivity {_with_interval(found['sensitivity'])}, specificity {_with_interval(found['specificity'])}, Matthews' correlation "
        f"{share(found['mcc'])}. A sequencing error that is called makes a read without variants a detected one. "
        "A read without an answer misses its variants; if it has none it is not counted here."
    )
    return parts.table("Is there any variant at all?", ["true", "reads", "difference called", "none called"], rows, about)


def _with_interval(rate: Rate) -> str:
    return percent(rate["rate"]) + (f" ({percents(rate['ci'])})" if rate["ci"] else "")


def _rate_cells(rate: Rate, meaning: str) -> list[Html]:
    number = join(percent(rate["rate"]), tag("span", percents(rate["ci"]), class_="ci") if rate["ci"] else None)
    plot = plain(interval_plot(rate["rate"], rate["ci"], None, meaning))
    return [cell(number), plot, cell(f"{rate['count']:,} of {rate['of']:,}")]


def confidence_section(scoring: Scoring, parts: Parts) -> Html | None:
    """None when no call came with a confidence."""
    found = scoring["confidence"]
    calibration = found["calibration"]
    if calibration is None:
        return None
    return section("Confidence", None, tag("div", _calibration(calibration, parts), _curve(found, parts), class_="pair"))


def _calibration(found: Calibration, parts: Parts) -> Html:
    label = "Calibration: confidence against the share of calls that are right"
    chart = Square(label, "confidence, as the model said", "share that is right")
    chart.diagonal()
    bins = found["bins"]
    most = max(row["calls"] for row in bins)
    for row in bins:
        low, high = jeffreys(round(row["right"] * row["calls"]), row["calls"])
        chart.whisker(row["confidence"], low, high)
    for row in bins:
        chart.dot(row["confidence"], row["right"], 3 + 7 * sqrt(row["calls"] / most), f"{row['calls']:,} calls, {row['right']:.3f} right")
    about = (
        f"By tenths of confidence; a dot's area grows with its calls, the dashed line is a perfectly calibrated caller. Expected "
        f"calibration error: {found['ece']:.3f}."
    )
    return parts.figure("Calibration", chart.done(), about)


def _curve(found: Confidence, parts: Parts) -> Html:
    chart = Square("Precision against recall, along the confidence", "recall", "precision")
    points = [(point["recall"], point["precision"]) for point in found["curve"]]
    chart.steps(points)
    for (recall, precision), point in zip(points, found["curve"], strict=True):
        words = f"confidence {point['confidence']:g} and above: recall {recall:.3f}, precision {precision:.3f}"
        chart.dot(recall, precision, 2.5, words, small=True)
    about = f"Calls at or above each confidence. Average precision: {share(found['average_precision'])}."
    return parts.figure("Precision and recall", chart.done(), about)


def strata_section(scoring: Scoring, parts: Parts) -> Html:
    by = scoring["by"]
    tables = [_table(dimension, by[dimension], parts) for dimension in NAMES if by.get(dimension)]
    lead = "Each table but that of events divides all truths and all calls, so that its rows add up to the totals above."
    return section("Strata", lead, tag("div", *tables, class_="columns"))


def _table(dimension: str, levels: dict[str, Measures[int | None]], parts: Parts) -> Html:
    title, about = NAMES[dimension]
    called = any(row["query_tp"] is not None for row in levels.values())
    rows = []
    for level, row in sorted(levels.items(), key=lambda item: _natural(item[0])):
        recall, bounds = row["recall"], row["ci"]["recall"]
        plot = interval_plot(recall, bounds, None, f"recall, {title} {level}")
        right = [measure(row["precision"], row["ci"]["precision"]), measure(row["f1"])] if called else []
        rows.append(Row(level, [cell(f"{row['tp'] + row['fn']:,}"), measure(recall, bounds), plain(plot), *right]))
    return parts.table(title, ["level", "truths", "recall", "", *(["precision", "F1"] if called else [])], rows, about)


def _natural(level: str) -> list[tuple[int, float, str]]:
    """Numbers in names by their size: 5-6 before 11+."""
    pieces = re.findall(r"\d+(?:\.\d+)?|\D+", level)
    return [(0, float(piece), "") if piece[0].isdigit() else (1, 0.0, piece) for piece in pieces]
