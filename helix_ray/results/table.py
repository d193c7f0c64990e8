"""The report for a terminal: short, in words, and honest about where the numbers come from."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from helix_ray.records import JsonObject
from helix_ray.results import words
from helix_ray.results.report import NOTICE
from helix_ray.scoring.proximity import MISTAKES
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
        if report.get("scoring"):
            parts.append(_mistakes(report))
    if report["agreement"]:
        parts.append(_agreement(report))
    return Group(*parts)


def _summary(report: JsonObject) -> Table:
    table = Table(title=f"Run {report['run_id']}: {report['status']}", title_justify="left", show_header=False, min_width=64)
    table.add_column(style="dim")
    table.add_column(justify="right")
    requested = "endless" if report["reads_requested"] is None else _count(report["reads_requested"])
    asked = (report["configuration"] or {}).get("analyzer") or {}
    rows: list[tuple[str, str]] = [
        ("model, prompt", f"{report['model']}, {asked.get('prompt', '-')}" if report["model"] else "none: the aligner alone"),
        ("reads requested / produced / stored", f"{requested} / {_count(report['reads_produced'])} / {_count(report['reads_stored'])}"),
        ("lost / duplicates", f"{_count(report['lost'])} / {_count(report['duplicates'])}"),
        ("dead letters", _dead_letters(report)),
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
        ("bottleneck, share of the time", words.shares(report["bottleneck_shares"]) or report["bottleneck"] or "none"),
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
        ("requests / of them repairs / HTTP 429", f"{report['requests']:,} / {report['repairs']:,} / {report['http_429']:,}"),
        *_failed(report),
        ("tokens prompt / cached / completion", " / ".join(f"{tokens[kind]:,}" for kind in ("prompt", "cached", "completion"))),
        ("cost", f"${report['cost_usd']:.6f}" + ("" if per_1000 is None else f" (${per_1000:.4f} per 1,000 reads)")),
        *([("could have cost, at most", f"${report['authorised_usd']:.6f}")] if report["authorised_usd"] else []),
        *([("reads paid for twice / possibly billed", f"{report['reads_repaid']:,} / {report['possibly_billed']:,}")] if again else []),
        ("latency p50 / p95 / p99", " / ".join("-" if value is None else f"{value:.0f} ms" for value in latency.values())),
    ]


def _failed(report: JsonObject) -> list[tuple[str, str]]:
    """Only what happened, or is not as it is most often."""
    rows = []
    if report["failures_by_kind"]:
        rows.append(("failed requests", "\n".join(words.failures({kind: n}) for kind, n in report["failures_by_kind"].items())))
    if report["resent"]:
        rows.append(("sent again after a failure", f"{report['resent']:,} ({report['resent_share']:.1%} of all)"))
    if set(report["reads_by_tier"]) - {"on_demand"}:
        rows.append(("reads by service tier", words.named(report["reads_by_tier"])))
    return rows


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _dead_letters(report: JsonObject) -> str:
    """How many, and of what."""
    kinds = report["dead_letters_by_kind"] or {}
    return _count(report["dead_letters"]) + (f" ({', '.join(f'{kind} {count:,}' for kind, count in kinds.items())})" if kinds else "")


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
    title = f"Calls against the injected truth ({_task(report)})"
    table = accuracy_table(title, report["accuracy"], report.get("ceiling") or {}, simulated=report["simulated"])
    if report["truth_reads"]:
        share = report["identifiable_reads"] / report["truth_reads"]
        table.caption = f"{table.caption}\nidentifiable reads: {report['identifiable_reads']:,} of {report['truth_reads']:,} ({share:.1%})"
    return table


def accuracy_table(title: str, accuracy: JsonObject, ceiling: JsonObject, *, simulated: bool) -> Table:
    """The model's measures by type, and beside them the aligner's on the same reads."""
    table = Table(title=title + (" [EMULATOR]" if simulated else ""), title_justify="left", caption_justify="left", min_width=64)
    for name in ("type", "found / true", "right / called", "recall", "precision", "F1"):
        table.add_column(name, justify="left" if name == "type" else "right")
    table.add_column("ceiling", justify="right", style="dim")
    kinds = [*sorted({*accuracy, *ceiling} - {ALL}), ALL]
    for kind in kinds:
        row = accuracy.get(kind, NOTHING)
        shares = (_with_interval(row[key], row["ci"][key], "\n") for key in ("recall", "precision", "f1"))
        found, right = f"{row['tp']:,} / {row['tp'] + row['fn']:,}", f"{row['query_tp']:,} / {row['query_tp'] + row['fp']:,}"
        table.add_row(kind, found, right, *shares, _share(ceiling.get(kind, NOTHING)["f1"]))
    table.caption = "with 95 % intervals; ceiling: F1 of an exact aligner on the same reads"
    if ceiling.get(ALL, NOTHING)["fp_error"]:
        table.caption += "\nthe reads hold sequencing errors, which nobody can tell from mutations in a single read: calling them is false"
    return table


def _task(report: JsonObject) -> str:
    """How calls were compared, and what the model was asked where that is not the plain task."""
    told = report.get("scoring") or {}
    return "haplotype-aware" if told.get("task") != "assisted" else "haplotype-aware; ASSISTED task: the prompt held the alignment"


def _mistakes(report: JsonObject) -> Table:
    """What kind of mistakes these are, and how the reads came out as a whole."""
    told = report["scoring"]
    title = "Mistakes" + (" (ASSISTED task)" if told.get("task") == "assisted" else "") + (" [EMULATOR]" if report["simulated"] else "")
    table = Table(title=title, title_justify="left", show_header=False, min_width=64)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, told_as in MISTAKES.items():
        found = told["mistakes"][name]
        table.add_row(told_as, f"{found['count']:,} of {found['of']:,}: {_with_interval(found['rate'], found['ci'])}")
    reads = told["reads"]
    table.add_row("reads exactly right, by the model", _with_interval(reads["exact"]["rate"], reads["exact"]["ci"]))
    table.add_row("reads exactly right, by the aligner", _with_interval(reads["baseline_exact"]["rate"], reads["baseline_exact"]["ci"]))
    failed = told["failed"]
    if failed["reads"]:
        without = report["accuracy"][ALL]["excluding_failed"]
        table.add_row("reads without an answer, all their variants missed", f"{failed['reads']:,} ({failed['frac_na']:.1%})")
        table.add_row("recall, F1 if they are left out", f"{_share(without['recall'])}, {_share(without['f1'])}")
    per_found = told["cost"]["usd_per_true_positive"]
    if per_found:
        table.add_row("cost per variant found", f"${per_found:.7f}")
    if told["cost"]["baseline_us_per_read"] is not None:
        table.add_row("CPU time of the aligner, a read", f"{told['cost']['baseline_us_per_read']:.0f} us")
    return table


def _with_interval(value: float | None, interval: list[float] | None, between: str = " ") -> str:
    return _share(value) + (f"{between}{interval[0]:.2f}-{interval[1]:.2f}" if interval else "")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
