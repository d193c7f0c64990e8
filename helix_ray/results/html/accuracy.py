"""How right the calls are, by type: beside the aligner, without the failed reads, and what was called instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helix_ray.records import JsonObject
from helix_ray.results.html.drawing import interval_plot
from helix_ray.results.html.parts import Parts, Row, cell, heat, measure, section, words
from helix_ray.results.html.tags import Html, join, tag
from helix_ray.scoring import scores
from helix_ray.scoring.summary import ALL, summarise

EMPTY = summarise({})[ALL]
"""The measures of a type that one side alone has."""

KEY = join(
    tag("span", tag("i"), "the model, with its 95 % interval", class_="key"),
    tag("span", tag("i", class_="tick"), "the aligner on the same reads: the ceiling", class_="key"),
)


def accuracy_section(report: JsonObject, parts: Parts) -> Html:
    lead = (
        "Calls against the injected truth. A read whose calls spell the true sequence is right, however the variants are named. "
        "Truths and calls are counted each on its own side; a read without an answer misses all of its truth."
    )
    return section("Accuracy by type", lead, tag("p", KEY), _measures(report, parts), _without_failed(report, parts))


def confusion_section(report: JsonObject, parts: Parts) -> Html:
    rows = list(_levels(report))
    truths = parts.table(
        "What became of the true variants",
        ["true type", "variants", "found", "other alleles", "1–5 bases off", "missed", "no answer"],
        [Row(kind, [cell(f"{row['tp'] + row['fn']:,}"), *_fates(row)], kind == ALL) for kind, row in rows],
        "Each row adds up to its variants.",
    )
    calls = parts.table(
        "What the calls were",
        ["called type", "calls", "right", "sequencing error", "other alleles", "1–5 bases off", "nothing there", "of these invalid"],
        [Row(kind, [cell(f"{row['query_tp'] + row['fp']:,}"), *_kinds(row)], kind == ALL) for kind, row in rows],
        "Invalid calls name bases that the window does not hold, or contradict each other; they are among the wrong ones.",
    )
    return section(
        "Confusion by type",
        "True variants against what was called for them, and calls against what is there.",
        _types(report, parts),
        truths,
        calls,
    )


def _types(report: JsonObject, parts: Parts) -> Html:
    """What stood there by what was called."""
    confusion = report["scoring"]["confusion"]
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


def _measures(report: JsonObject, parts: Parts) -> Html:
    ceiling = report["ceiling"] or {}
    rows = [
        Row(
            kind,
            [
                cell(f"{row['tp']:,} / {row['tp'] + row['fn']:,}"),
                measure(row["recall"], row["ci"]["recall"]),
                _plot(kind, row, ceiling, "recall"),
                measure(row["precision"], row["ci"]["precision"]),
                _plot(kind, row, ceiling, "precision"),
                measure(row["f1"], row["ci"]["f1"]),
                _plot(kind, row, ceiling, "f1"),
                measure(ceiling.get(kind, EMPTY)["f1"]),
            ],
            kind == ALL,
        )
        for kind, row in _levels(report)
    ]
    head = ["type", "found / true", "recall", "", "precision", "", "F1", "", "ceiling F1"]
    return parts.table("Recall, precision and F1 by type", head, rows, "95 % intervals: Jeffreys; of F1 a bootstrap over reads.")


def _without_failed(report: JsonObject, parts: Parts) -> Html | None:
    failed = (report["scoring"] or {}).get("failed")
    if not failed or not failed["reads"]:
        return None
    rows = [
        Row(
            kind,
            [
                measure(row["recall"], row["ci"]["recall"]),
                measure(row["excluding_failed"]["recall"], row["excluding_failed"]["ci"]["recall"]),
                measure(row["f1"]),
                measure(row["excluding_failed"]["f1"]),
            ],
            kind == ALL,
        )
        for kind, row in _levels(report)
    ]
    of = report["scoring"]["reads"]["reads"]
    about = (
        f"{failed['reads']:,} of {of:,} reads ended without a usable answer (dead letters); they held {failed['truths']:,} true "
        "variants. All reads: these count as missed (intention to treat). Answered reads only: as if the others had never been asked about."
    )
    head = ["type", "recall, all reads", "recall, answered reads only", "F1, all reads", "F1, answered reads only"]
    return parts.table("With and without the reads that got no answer", head, rows, about)


def _levels(report: JsonObject) -> Iterator[tuple[str, Any]]:
    accuracy, ceiling = report["accuracy"], report["ceiling"] or {}
    for kind in [*sorted({*accuracy, *ceiling} - {ALL}), ALL]:
        yield kind, accuracy.get(kind, EMPTY)


def _fates(row: JsonObject) -> list[Html]:
    truths = row["tp"] + row["fn"]
    missed = row["fn"] - row["fn_allele"] - row["fn_near"] - row["fn_failed"]
    wrong = (row["fn_allele"], row["fn_near"], missed, row["fn_failed"])
    return [heat(row["tp"], truths), *(heat(count, truths, wrong=True) for count in wrong)]


def _kinds(row: JsonObject) -> list[Html]:
    calls = row["query_tp"] + row["fp"]
    nothing = row["fp"] - row["fp_error"] - row["fp_allele"] - row["fp_near"]
    wrong = (row["fp_error"], row["fp_allele"], row["fp_near"], nothing)
    return [heat(row["query_tp"], calls), *(heat(count, calls, wrong=True) for count in wrong), cell(f"{row['fp_invalid']:,}")]


def _plot(kind: str, row: JsonObject, ceiling: JsonObject, key: str) -> Html:
    best = ceiling.get(kind, EMPTY)[key]
    return words(interval_plot(row[key], row["ci"][key], best, f"{key} of {kind}"))
