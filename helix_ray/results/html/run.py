"""The run itself: summary, price, answers, operations and configuration."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from helix_ray.results.formatting import UNKNOWN, count, failures, interval, named, percent, percents, share, shares
from helix_ray.results.html.parts import Html, Parts, Row, cell, join, plain, section, tag
from helix_ray.results.schema import Measure, Report, Scoring
from helix_ray.scoring.summary import ALL
from helix_ray.storage.ledger import Agreement

HEADLINES: tuple[tuple[str, Measure], ...] = (("F1", "f1"), ("recall", "recall"), ("precision", "precision"))


def tiles(report: Report) -> Html:
    shown = (
        tag("div", tag("div", value, class_="value"), tag("div", name, class_="name"), tag("div", note, class_="note"), class_="tile")
        for name, value, note in _figures(report)
    )
    return tag("div", *shown, class_="tiles")


def _figures(report: Report) -> Iterator[tuple[str, str, str]]:
    """What to know first: at most six numbers."""
    accuracy, scoring, agreement = report["accuracy"], report["scoring"], report["agreement"]
    if accuracy and scoring:
        row = accuracy[ALL]
        for name, key in HEADLINES:
            yield name, share(row[key]), interval(row["ci"][key])
        exact, aligner = scoring["reads"]["exact"], scoring["reads"]["baseline_exact"]
        yield "reads described exactly", percent(exact["rate"]), f"{percents(exact['ci'])}, aligner {percent(aligner['rate'])}"
        price = scoring["cost"]["usd_per_true_positive"]
        yield "per 1,000 variants found", UNKNOWN if price is None else f"${1000 * price:.3f}", "all that the run cost, divided"
    elif agreement:
        equal, reads = agreement["reads_equal"], agreement["reads"]
        part = equal / reads if reads else None
        yield "agreement with the aligner", percent(part), f"{equal:,} of {reads:,} reads name the same differences"
        yield "cost", UNKNOWN if report["cost_usd"] is None else f"${report['cost_usd']:.4f}", "of the run"
    yield "reads stored", count(report["reads_stored"]), f"{count(report['dead_letters'])} dead letters, {count(report['lost'])} lost"


def agreement_section(found: Agreement, parts: Parts) -> Html:
    """There is no truth: two opinions, side by side."""
    callers = {"both": found["both"], "the model alone": found["only_call"], "the aligner alone": found["only_baseline"]}
    rows = [Row(f"named by {who}", [cell(f"{number:,}")]) for who, number in callers.items()]
    lead = (
        "No truth is known of these reads. A difference from the reference window may be a sequencing error or a real allele, and neither "
        "the model nor the aligner says which."
    )
    return section("Agreement with the aligner", lead, parts.table("Differences from the reference window", ["difference", "count"], rows))


def price_section(scoring: Scoring, parts: Parts) -> Html:
    cost = scoring["cost"]
    figures = (
        ("dollars for a variant found", cost["usd_per_true_positive"], "${:.7f}"),
        ("tokens for a variant found", cost["tokens_per_true_positive"], "{:,.0f}"),
        ("request time for a variant found", cost["latency_ms_per_true_positive"], "{:,.0f} ms"),
        ("latency of an answer, median", cost["latency_ms_p50"], "{:,.0f} ms"),
        ("the aligner beside it, CPU for each read", cost["baseline_us_per_read"], "{:,.1f} µs, no dollars"),
        ("judging and scoring, CPU for each read", cost["scoring_us_per_read"], "{:,.1f} µs"),
    )
    rows = [Row(name, [cell(UNKNOWN if value is None else form.format(value))]) for name, value, form in figures]
    about = "All that the run cost, dead letters, repairs and retries included, divided by the true variants that were found."
    return section("Price", None, parts.table("What the answers cost", [], rows, about))


def answers_section(scoring: Scoring, parts: Parts) -> Html:
    calls = [Row(outcome, [cell(f"{number:,}")]) for outcome, number in scoring["outcomes"].items()]
    overlooked = [Row(kind, [cell(f"{number:,}")]) for kind, number in scoring["leniency"].items()]
    about = "ok: it fits the window and no other call; the others are wrong."
    tables = [parts.table("Calls by validity", ["outcome", "calls"], calls, about)]
    if overlooked:
        tables.append(parts.table("Answers read with leniency", ["what was overlooked", "reads"], overlooked))
    return section("Answers", None, tag("div", *tables, class_="pair"))


def run_section(report: Report, parts: Parts) -> Html:
    rows = [Row(name, [plain(value)]) for name, value in _operations(report)]
    return section("The run", None, parts.table("What the run did", [], rows))


def _operations(report: Report) -> Iterator[tuple[str, str]]:
    yield "status", f"{report['status']}: {report['reason']}"
    yield (
        "reads requested, produced, stored",
        ", ".join(map(count, (report["reads_requested"], report["reads_produced"], report["reads_stored"]))),
    )
    yield "lost, duplicates", f"{count(report['lost'])}, {count(report['duplicates'])}"
    yield "duration", f"{report['duration_s']:,.1f} s, {UNKNOWN if report['reads_per_s'] is None else report['reads_per_s']} reads/s"
    yield "requests, HTTP 429", f"{count(report['requests'])}, {count(report['http_429'])}"
    if report["requests"] is not None:
        yield "failed requests", failures(report["failures_by_kind"] or {})
        yield "sent again after a failure", f"{count(report['resent'])} ({percent(report['resent_share'])} of all)"
        yield "reads by service tier", named(report["reads_by_tier"] or {})
    tokens = report["tokens"]
    yield "tokens", UNKNOWN if tokens is None else ", ".join(f"{kind} {number:,}" for kind, number in tokens.items())
    yield "cost", UNKNOWN if report["cost_usd"] is None else f"${report['cost_usd']:.6f}"
    if report["authorised_usd"] is not None:
        yield "could have cost, at most", f"${report['authorised_usd']:.6f}"
    waited = report["latency_ms"] or {}
    yield "latency p50, p95, p99", ", ".join(UNKNOWN if value is None else f"{value:,.0f} ms" for value in waited.values()) or UNKNOWN
    yield "limits used", ", ".join(f"{name} {part:.1%}" for name, part in report["utilisation"].items()) or "none seen"
    yield "bottleneck", report["bottleneck"] or "none"
    yield "the run waited for, share of the time", shares(report["bottleneck_shares"]) or UNKNOWN
    yield "queue: deepest, bound", f"{report['max_queue_depth']:,}, {report['queue_capacity']:,}"
    yield "memory, peak of all processes", f"{report['peak_pss_mb']:,.0f} MB"


def configuration_section(report: Report, parts: Parts) -> Html:
    asked = _rows(_asked(report["scoring"]) if report["scoring"] else [])
    keys = _rows(_flat(report["configuration"] or {}))
    return section(
        "What it was told",
        None,
        parts.table("Prompt and scorer", [], asked) if asked else None,
        parts.table("Configuration", [], keys, dense=True) if keys else None,
    )


def _asked(scoring: Scoring) -> list[tuple[str, object]]:
    named = [
        ("prompt template", scoring["prompt"]),
        ("its SHA-256", scoring["prompt_sha256"]),
        ("task", scoring["task"]),
        ("worked examples", scoring["examples"]),
        ("reads in a request, at most", scoring["reads_per_request"]),
        ("reasoning before the answer", scoring["work"]),
        ("matching", scoring["method"]),
        ("version of the scorer", scoring["scorer"]),
    ]
    return [(name, value) for name, value in named if value is not None]


def _rows(values: Iterable[tuple[str, object]]) -> list[Row]:
    """Texts as they are, other values as JSON."""
    shown = ((name, value if isinstance(value, str) else json.dumps(value)) for name, value in values)
    return [Row(name, [plain(tag("span", value, class_="mono"))]) for name, value in shown]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def terms_section() -> Html:
    terms = {
        "recall": "true variants that were found, of all true variants.",
        "precision": "calls that are right, of all calls.",
        "F1": "2 × precision × recall / (precision + recall).",
        "ceiling": "the same measure of a deterministic aligner on the same reads: what can be found without any model.",
        "sequencing error": "a difference that is in the read and was not injected as a variant: there to be seen, and still a wrong call.",
        "dead letter": "a read that ended without an answer that could be used.",
        "mutation_detected": "the column of the database: a difference from the reference window was called. No diagnosis.",
    }
    return section("Terms", None, tag("dl", *(join(tag("dt", name), tag("dd", meaning)) for name, meaning in terms.items())))
