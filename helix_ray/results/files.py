"""Where the report of a run lies, and how it gets there: as JSON, and beside it as a page."""

from __future__ import annotations

import json
import os
from pathlib import Path

from helix_ray.results.html import render_html
from helix_ray.results.schema import Report


def report_path(home: Path, run_id: str) -> Path:
    return home / "reports" / f"{run_id}.json"


def page_path(path: Path) -> Path:
    """Where the page of the report ``path`` lies."""
    return path.with_name(f"{path.name}.html") if path.suffix == ".html" else path.with_suffix(".html")


def save_report(report: Report, path: Path) -> None:
    """The report as JSON, and beside it, with the suffix .html, as a page. Each is written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(report, indent=2) + "\n")
    _write(page_path(path), render_html(report))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
