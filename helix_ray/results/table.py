"""The report for a terminal: short, in words, and honest about where the numbers come from."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from helix_ray.records import JsonObject
from helix_ray.results.report import NOTICE
from helix_ray.scoring.summary import ALL, summarise

NOTHING = summarise({})[ALL]
"""The measures of a type that one side alone has."""


def render_report(report: JsonObject) -> RenderableType:
    """A summary table, and the accuracy table when there is truth."""
    parts: list[RenderableType] = []
    if report["simulated"]:
        parts.append(Text(NOTICE, style="bold yellow"))
    parts.append(_summary(report))
    if report["accuracy"]:
        parts.append(_accuracy(report))
    if report["agreement"]:
        parts.append(_agreement(report))
    return Group(*parts)


def _summary(report: JsonObject) -> Table:
    table = Table(title=f"Run {report['run_id']}: {report['status']}", title_justify="left", show_header=False, min_width=64)
    table.add_column(style="dim")
    table.add_column(justify="right")
    requested = "endless" if report["reads_requested"] is None else _count(report["reads_requested"])
    rows: list[tuple[str, str]] = [
        ("reads requested / produced / stored", f"{requested} / {_count(report['reads_produced'])} / {_count(report['reads_stored'])}"),
        ("lost / duplicates", f"{_count(report['lost'])} / {_count(report['duplicates'])}"),
        ("dead letters", _count(report["dead_letters"])),
    ]
    aside = {name: report[f"reads_{name}"] for name in ("unplaced", "filtered", "malformed")}
    if any(aside.values()):
        rows.append((" / ".join(aside), " / ".join(_count(count) for count in aside.values())))
    if report["reads_handed_back"]:
        rows.append(("handed back for the next session", _count(report["reads_handed_back"])))
    rows += [
        (
            "duration",
            f"{report['duration_s']:.1f} s" + ("" if report["reads_per_s"] is None else f" ({report['reads_per_s']:.1f} reads/s)"),
        ),
        (
            "queue: deepest / bound, producers blocked",
            f"{report['max_queue_depth']} / {report['queue_capacity']}, {report['blocked_seconds']:.1f} s",
        ),
        ("limits used", ", ".join(f"{name} {share:.1%}" for name, share in report["utilisation"].items()) or "none seen"),
        ("bottleneck", report["bottleneck"] or "none"),
        ("memory, peak of all processes", f"{report['peak_pss_mb']:.0f} MB"),
        *_paid(report),
    ]
    for name, value in rows:
        table.add_row(name, value)
    return table


def _paid(report: JsonObject) -> list[tuple[str, str]]:
    """What only the database knows."""
    tokens, latency = report["tokens"], report["latency_ms"]
    if tokens is None:
        return [("requests, tokens, cost, latency", "unknown: the database could not be asked")]
    per_1000, again = report["cost_per_1000_reads"], report["reads_repaid"] or report["possibly_billed"]
    return [
        ("requests / HTTP 429", f"{report['requests']:,} / {report['http_429']:,}"),
        ("tokens prompt / cached / completion", " / ".join(f"{tokens[kind]:,}" for kind in ("prompt", "cached", "completion"))),
        ("cost", f"${report['cost_usd']:.6f}" + ("" if per_1000 is None else f" (${per_1000:.4f} per 1,000 reads)")),
        *([("reads paid for twice / possibly billed", f"{report['reads_repaid']:,} / {report['possibly_billed']:,}")] if again else []),
        ("latency p50 / p95 / p99", " / ".join("-" if value is None else f"{value:.0f} ms" for value in latency.values())),
    ]


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _agreement(report: JsonObject) -> Table:
    """There is no truth here, so this is not precision or recall: two opinions, side by side."""
    found = report["agreement"]
    title = "Agreement with the aligner (no truth is known)"
    table = Table(title=title + (" [EMULATOR]" if report["simulated"] else ""), title_justify="left", show_header=False, min_width=64)
    table.add_column(style="dim")
    table.add_column(justify="right")
    share = f" ({found['reads_equal'] / found['reads']:.1%})" if found["reads"] else ""
    table.add_row("reads with the same differences", f"{found['reads_equal']:,} of {found['reads']:,}{share}")
    both, calls, baseline = (f"{found[key]:,}" for key in ("both", "only_call", "only_baseline"))
    table.add_row("differences named by both / only the model / only the aligner", f"{both} / {calls} / {baseline}")
    return table


def _accuracy(report: JsonObject) -> Table:
    """The model's measures by type, and beside them the aligner's on the same reads."""
    accuracy, ceiling = report["accuracy"], report.get("ceiling") or {}
    title = "Calls against the injected truth (exact allele match)"
    table = Table(title=title + (" [EMULATOR]" if report["simulated"] else ""), title_justify="left", caption_justify="left", min_width=64)
    for name in ("type", "TP", "FP", "FN", "precision", "recall", "F1"):
        table.add_column(name, justify="left" if name == "type" else "right")
    table.add_column("ceiling", justify="right", style="dim")
    kinds = [*sorted({*accuracy, *ceiling} - {ALL}), ALL]
    for kind in kinds:
        row = accuracy.get(kind, NOTHING)
        shares = (_share(row[key]) for key in ("precision", "recall", "f1"))
        table.add_row(kind, *(f"{row[key]:,}" for key in ("tp", "fp", "fn")), *shares, _share(ceiling.get(kind, NOTHING)["f1"]))
    table.caption = "ceiling: F1 of the aligner on the same reads, without any model"
    if report["truth_reads"]:
        share = report["identifiable_reads"] / report["truth_reads"]
        table.caption += f"\nidentifiable reads: {report['identifiable_reads']:,} of {report['truth_reads']:,} ({share:.1%})"
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
