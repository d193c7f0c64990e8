"""The report's page, made of the report's JSON and nothing else: whoever has the one can make the other."""

from __future__ import annotations

from importlib.resources import files

from helix_ray.records import JsonObject
from helix_ray.results.html import accuracy
from helix_ray.results.html.markup import UNKNOWN, count, paragraph, section, share, table, text
from helix_ray.results.report import NOTICE

TASK = (
    "Helix-Throttle measures how well an LLM describes the small-variant differences between a reference window and an observed sequence. "
    "It is not a clinical or germline variant caller; a deterministic aligner does this task exactly on the identifiable stratum in "
    "microseconds and is reported beside every model."
)


def render_html(report: JsonObject) -> str:
    """A whole document: no script, no address, nothing to load."""
    label = "EMULATOR" if report["simulated"] else ""
    parts = [
        f"<h1>Run {text(report['run_id'])}: {text(report['status'])}</h1>",
        paragraph(str(report["reason"]), "soft"),
        paragraph(NOTICE, "notice") if report["simulated"] else "",
        paragraph(TASK),
        *(accuracy.sections(report, label) if report["accuracy"] else []),
        _agreement(report, label) if report["agreement"] else "",
        section("The run", table("What was done", [], _run(report), label=label)),
    ]
    style = files("helix_ray.results.html").joinpath("style.css").read_text("utf-8")
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Run {text(report['run_id'])}</title>\n<style>\n{style}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _agreement(report: JsonObject, label: str) -> str:
    """Two opinions, and no truth to judge them by."""
    found = report["agreement"]
    equal = share(found["reads_equal"] / found["reads"]) if found["reads"] else UNKNOWN
    rows = [
        ("reads with the same differences", f"{count(found['reads_equal'])} of {count(found['reads'])} ({equal})"),
        ("differences named by both", count(found["both"])),
        ("named by the model only", count(found["only_call"])),
        ("named by the aligner only", count(found["only_baseline"])),
    ]
    words = (
        "No truth is known for these reads: a difference may be a sequencing error or a real allele. So this is not precision or recall."
    )
    return section("Agreement with the aligner", paragraph(words), table("Model and aligner on the same reads", [], rows, label=label))


def _run(report: JsonObject) -> list[tuple[str, str]]:
    tokens, latency = report["tokens"] or {}, report["latency_ms"] or {}
    cost = report["cost_usd"]
    per_1000 = report["cost_per_1000_reads"]
    return [
        ("backend", str(report["backend"])),
        ("reads requested", count(report["reads_requested"]) if report["reads_requested"] is not None else "to the end of the input"),
        ("reads stored", count(report["reads_stored"])),
        ("dead letters", count(report["dead_letters"])),
        ("unplaced, filtered, malformed", ", ".join(count(report[f"reads_{name}"]) for name in ("unplaced", "filtered", "malformed"))),
        ("lost, duplicates", f"{count(report['lost'])}, {count(report['duplicates'])}"),
        ("duration", f"{report['duration_s']:,.1f} s"),
        ("requests, of them HTTP 429", f"{count(report['requests'])}, {count(report['http_429'])}"),
        ("limits used", ", ".join(f"{name} {share(used)}" for name, used in report["utilisation"].items()) or "none seen"),
        ("bottleneck", str(report["bottleneck"] or "none")),
        ("queue, deepest of its bound", f"{count(report['max_queue_depth'])} of {count(report['queue_capacity'])}"),
        ("tokens: prompt, cached, completion", ", ".join(count(tokens.get(kind)) for kind in ("prompt", "cached", "completion"))),
        ("cost", UNKNOWN if cost is None else f"${cost:.6f}" + (f" (${per_1000:.4f} per 1,000 reads)" if per_1000 is not None else "")),
        ("latency, p50, p95, p99", ", ".join(_ms(latency.get(name)) for name in ("p50", "p95", "p99"))),
        ("memory, peak of all processes", f"{report['peak_pss_mb']:,.0f} MB"),
    ]


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f} ms"
