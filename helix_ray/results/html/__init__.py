"""The report as one self-contained HTML page: no script, nothing from elsewhere, every outside text escaped."""

from __future__ import annotations

from importlib.resources import files

from helix_ray.results.accuracy import compared
from helix_ray.results.formatting import NOTICE, PURPOSE
from helix_ray.results.html import accuracy, run
from helix_ray.results.html.parts import Html, Parts, join, tag
from helix_ray.results.schema import Report

__all__ = ["render_html"]

NOTHING_FROM_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

ASSISTED = "ASSISTED TASK: the prompt shows the aligner's alignment. This is another task, not to be compared with the others."


def render_html(report: Report) -> str:
    """A whole document, made of the report's JSON and nothing else."""
    parts = Parts(bool(report["simulated"]))
    name = str(((report["configuration"] or {}).get("run") or {}).get("name") or report["run_id"])
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=NOTHING_FROM_ELSEWHERE),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{name}: {'EMULATOR, ' if parts.simulated else ''}{report['status']}, Helix-Throttle"),
        tag("style", Html(files(__package__).joinpath("style.css").read_text(encoding="utf-8"))),
    )
    body = tag("body", tag("main", _header(report, name), *_sections(report, parts), tag("footer", PURPOSE)))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _header(report: Report, name: str) -> Html:
    scoring = report["scoring"]
    by = f", provider {report['provider']}" if report.get("provider") else ""  # reports of earlier versions have none
    task = f", prompt {scoring['prompt']}" if scoring and scoring["prompt"] else ""
    return tag(
        "header",
        tag("p", "Helix-Throttle report", class_="eyebrow"),
        tag("h1", _question(report)),
        tag("p", f"{name}, backend {report['backend']}{by}{task}, {report['status']}: {report['reason']}", class_="soft"),
        tag("p", f"run {report['run_id']}", class_="soft mono"),
        tag("div", NOTICE, class_="banner") if report["simulated"] else None,
        tag("div", ASSISTED, class_="banner") if scoring and scoring["task"] == "assisted" else None,
        run.tiles(report),
    )


def _question(report: Report) -> str:
    if report["simulated"]:
        return "How right is the emulator's scripted caller?"
    if report["backend"] == "aligner":
        return "What does the aligner find?"
    return f"How far does {report['model']} agree with the aligner?" if report["agreement"] else f"How right is {report['model']}?"


def _sections(report: Report, parts: Parts) -> list[Html | None]:
    found, scoring = report["accuracy"], report["scoring"]
    scored: list[Html | None] = []
    if found and scoring:
        rows = compared(found, report["ceiling"])
        scored = [
            accuracy.accuracy_section(rows, scoring, parts),
            accuracy.confusion_section(rows, scoring, parts),
            accuracy.mistakes_section(scoring, parts),
            accuracy.reads_section(scoring, parts),
            accuracy.confidence_section(scoring, parts),
            accuracy.strata_section(scoring, parts),
            run.price_section(scoring, parts),
            run.answers_section(scoring, parts),
        ]
    elif report["agreement"]:
        scored = [run.agreement_section(report["agreement"], parts)]
    terms = run.terms_section() if found else None
    return [*scored, run.run_section(report, parts), run.configuration_section(report, parts), join(terms)]
