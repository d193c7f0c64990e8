"""The page's sections on how right the model was."""

from __future__ import annotations

from helix_ray.records import JsonObject
from helix_ray.results.html import charts
from helix_ray.results.html.markup import UNKNOWN, count, figure, paragraph, section, share, table, with_interval
from helix_ray.scoring.mistakes import MISTAKES
from helix_ray.scoring.scores import NO_ANSWER, NOTHING
from helix_ray.scoring.summary import ALL, summarise

EMPTY = summarise({})[ALL]
"""The measures of a type that one side alone has."""

HOW = (
    "A call is right if it describes the read: calls that together spell the true sequence are right, whatever they are named; otherwise "
    "the largest part of them is that spells the same as part of the truth. Truths and calls are counted each on their own side. Intervals "
    "are 95 %: Jeffreys for precision and recall, bootstrap by read for F1."
)
MEASURES = ("level", "found", "missed", "false calls", "precision", "recall", "F1")


def sections(report: JsonObject, label: str) -> list[str]:
    """Those that the report has material for."""
    told = report["scoring"] or {}
    assisted = "The prompt held the aligner's alignment: this is another task, not to be compared with the others."
    return [
        section(
            "How right is the model?",
            paragraph(HOW),
            paragraph(assisted, "notice") if told.get("task") == "assisted" else "",
            figure("F1 with its interval; the tick is the ceiling: an exact aligner on the same reads", _forest(report), label=label),
            _by_type(report, label),
        ),
        *(_details(report, told, label) if told else []),
    ]


def _details(report: JsonObject, told: JsonObject, label: str) -> list[str]:
    return [
        section("Mistakes", _mistakes(told, label), '<div class="side">', _distances(told, label), _confusion(told, label), "</div>"),
        section("Reads as a whole", _reads(report, told, label)),
        section("Confidence", _confidence(told, label)),
        section("Cost", table("What a found variant costs", [], _cost(told), label=label)),
        section("By stratum", *(_stratum(name, levels, label) for name, levels in told["by"].items() if levels)),
        section("What was asked", table("Prompt and scorer", [], _asked(told), label=label)),
    ]


def _kinds(report: JsonObject) -> list[str]:
    return [*sorted({*report["accuracy"], *(report["ceiling"] or {})} - {ALL}), ALL]


def _forest(report: JsonObject) -> str:
    own, best = report["accuracy"], report["ceiling"] or {}
    rows = [(kind, own.get(kind, EMPTY), best.get(kind, EMPTY)) for kind in _kinds(report)]
    return charts.intervals([(kind, row["f1"], row["ci"]["f1"], ceiling["f1"]) for kind, row, ceiling in rows])


def _by_type(report: JsonObject, label: str) -> str:
    own, best = report["accuracy"], report["ceiling"] or {}
    rows = []
    for kind in _kinds(report):
        row, ceiling = own.get(kind, EMPTY), best.get(kind, EMPTY)
        without = row["excluding_failed"]
        rows.append([*_measures(kind, row), share(without["recall"]), share(without["f1"]), share(ceiling["f1"])])
    head = ("type", *MEASURES[1:], "recall, answered reads only", "F1, answered reads only", "ceiling F1")
    caption = "Calls against the injected truth; a read without a valid answer counts as missed, the columns at the right leave it out"
    return table(caption, head, rows, label=label)


def _measures(name: str, row: JsonObject) -> list[str]:
    shares = [with_interval(row[key], row["ci"][key]) for key in ("precision", "recall", "f1")]
    return [name, count(row["tp"]), count(row["fn"]), count(row["fp"]), *shares]


def _mistakes(told: JsonObject, label: str) -> str:
    rows = [
        (words, f"{count(told['mistakes'][name]['count'])} of {count(told['mistakes'][name]['of'])}", _rate(told["mistakes"][name]))
        for name, words in MISTAKES.items()
    ]
    outcomes = [(f"calls that are {name}", count(calls), "") for name, calls in told["outcomes"].items() if name != "ok"]
    return table("What kind of mistakes", ("", "count", "rate"), [*rows, *outcomes], label=label)


def _rate(found: JsonObject) -> str:
    return with_interval(found["rate"], found["ci"])


def _distances(told: JsonObject, label: str) -> str:
    picture = charts.bars(list(told["off_by"].items()), "bases off", "calls")
    return figure("Wrong calls near a missed variant, by how far they are off; 0: right place, other alleles", picture, label=label)


def _confusion(told: JsonObject, label: str) -> str:
    confusion = told["confusion"]
    columns = sorted({called for row in confusion.values() for called in row} - {NOTHING, NO_ANSWER})
    head = ("there was", *(f"called {name}" for name in columns), "missed", NO_ANSWER)
    rows = [
        [truth, *(count(row.get(name, 0)) for name in [*columns, NOTHING, NO_ANSWER])]
        for truth, row in sorted(confusion.items(), key=lambda item: (item[0] == NOTHING, item[0]))
    ]
    return table("Types: what was there, and what was called there or within 5 bases", head, rows, label=label)


def _reads(report: JsonObject, told: JsonObject, label: str) -> str:
    reads, failed = told["reads"], told["failed"]
    split = reads["mcnemar"]
    rows = [
        ("exactly right, by the model", _rate(reads["exact"])),
        ("exactly right, by the aligner", _rate(reads["baseline_exact"])),
        (
            "only the model right / only the aligner",
            f"{count(split['only_model'])} / {count(split['only_baseline'])} (McNemar p = {split['p']:.2g})",
        ),
        ("a variant is noticed where there is one (sensitivity)", _rate(reads["sensitivity"])),
        ("none is reported where there is none (specificity)", _rate(reads["specificity"])),
        ("Matthews correlation", UNKNOWN if reads["mcc"] is None else f"{reads['mcc']:.3f}"),
        ("bases still wrong after the calls, per base that was changed", _number(reads["residual_edits_per_truth_edit"])),
        ("reads without a valid answer", f"{count(failed['reads'])} ({share(failed['frac_na'])})"),
        ("identifiable reads", f"{count(report['identifiable_reads'])} of {count(report['truth_reads'])}"),
    ]
    if reads["capped"]:
        rows.append(("reads whose calls were compared by name, the search being too long", count(reads["capped"])))
    rows += [(f"answers with a leniency: {name}", count(found)) for name, found in told["leniency"].items()]
    return table("Reads with known truth", [], rows, label=label)


def _confidence(told: JsonObject, label: str) -> str:
    found = told["confidence"]
    if not found["calibration"]:
        return ""
    curve = charts.line([(point["recall"], point["precision"]) for point in found["curve"]], "recall", "precision")
    bins = found["calibration"]["bins"]
    calibrated = charts.line([(row["confidence"], row["right"]) for row in bins], "confidence", "share that is right", diagonal=True)
    rows = [(f"{row['from']:.1f} to {row['to']:.1f}", count(row["calls"]), share(row["confidence"]), share(row["right"])) for row in bins]
    words = f"Average precision {_number(found['average_precision'])}, expected calibration error {_number(found['calibration']['ece'])}."
    return "\n".join([
        paragraph(words),
        '<div class="side">',
        figure("Precision and recall of the calls above each confidence", curve, label=label),
        figure("Calibration: how often calls of a confidence are right", calibrated, label=label),
        "</div>",
        table("Calls by confidence", ("confidence", "calls", "mean confidence", "right"), rows, label=label),
    ])  # fmt: skip


def _cost(told: JsonObject) -> list[tuple[str, str]]:
    cost = told["cost"]
    usd, tokens, latency = cost["usd_per_true_positive"], cost["tokens_per_true_positive"], cost["latency_ms_p50"]
    baseline, own = cost["baseline_us_per_read"], cost["scoring_us_per_read"]
    return [
        ("dollars per variant found", UNKNOWN if usd is None else f"${usd:.7f}"),
        ("tokens per variant found", UNKNOWN if tokens is None else f"{tokens:,.0f}"),
        ("latency of an answer, median", UNKNOWN if latency is None else f"{latency:,.0f} ms"),
        ("the aligner beside it, CPU time a read", UNKNOWN if baseline is None else f"{baseline:,.0f} µs, and no dollars"),
        ("judging and scoring, CPU time a read", UNKNOWN if own is None else f"{own:,.0f} µs"),
    ]


def _stratum(name: str, levels: JsonObject, label: str) -> str:
    return table(f"By {name}", (name, *MEASURES[1:]), [_measures(level, row) for level, row in levels.items()], label=label)


def _asked(told: JsonObject) -> list[tuple[str, str]]:
    return [
        ("prompt", str(told["prompt"] or "none: the aligner alone")),
        ("its SHA-256", str(told["prompt_sha256"] or UNKNOWN)),
        ("task", str(told["task"] or UNKNOWN)),
        ("worked examples", count(told["examples"])),
        ("reads a request, at most", count(told["reads_per_request"])),
        ("reasoning before the answer", "yes" if told["work"] else "no"),
        ("matching", str(told["method"])),
        ("scorer", str(told["scorer"])),
    ]


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"
