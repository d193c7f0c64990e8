"""The report for a terminal: a summary, and accuracy, mistakes or agreement where they are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from helix_ray.config.schema import prompt_name
from helix_ray.records import left_out
from helix_ray.results import formatting
from helix_ray.results.accuracy import compared
from helix_ray.results.schema import MEASURES, ByType, Report, Scoring
from helix_ray.scoring.proximity import MISTAKES
from helix_ray.scoring.summary import ALL, Rate
from helix_ray.storage.ledger import Agreement

Pair = tuple[str, str]  # a name and its value, as shown


def render_report(report: Report) -> RenderableType:
    """A summary table, and the accuracy table when there is truth."""
    parts: list[RenderableType] = []
    if report["simulated"]:
        parts.append(Text(formatting.NOTICE, style="bold yellow"))
    if mark := formatting.cut_off(report["truncated_share"]):
        parts.append(Text(mark, style="bold yellow"))
    parts.append(_pairs(f"Run {report['run_id']}: {report['status']}", _summary(report)))
    emulator = " [EMULATOR]" if report["simulated"] else ""
    accuracy, scoring = report["accuracy"], report["scoring"]
    if accuracy:
        parts += _accuracy(report, accuracy)
        if scoring:
            assisted = " (ASSISTED task)" if scoring["task"] == "assisted" else ""
            parts.append(_pairs(f"Mistakes{assisted}{emulator}", _mistakes(scoring, accuracy)))
    if report["agreement"]:
        parts.append(_pairs(f"Agreement with the aligner (no truth is known){emulator}", _agreement(report["agreement"])))
    return Group(*parts)


def _pairs(title: str, rows: Iterable[Pair]) -> Table:
    """Names and values."""
    table = Table(Column(style="dim"), Column(justify="right"), title=title, title_justify="left", show_header=False, min_width=64)
    for row in rows:
        table.add_row(*row)
    return table


def _summary(report: Report) -> Iterator[Pair]:
    requested = "endless" if report["reads_requested"] is None else _count(report["reads_requested"])
    asked = (report["configuration"] or {}).get("analyzer") or {}
    prompt = prompt_name(asked.get("prompt", "-"))
    per_s = "" if report["reads_per_s"] is None else f" ({report['reads_per_s']:.1f} reads/s)"
    yield "model, prompt", f"{report['model']}, {prompt}" if report["model"] else "none: the aligner alone"
    if report["provider"]:
        yield "provider", report["provider"]
    yield "reads requested / produced / stored", f"{requested} / {_count(report['reads_produced'])} / {_count(report['reads_stored'])}"
    yield "lost / duplicates", f"{_count(report['lost'])} / {_count(report['duplicates'])}"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in (report["dead_letters_by_kind"] or {}).items())
    yield "dead letters", _count(report["dead_letters"]) + (f" ({kinds})" if kinds else "")
    aside = {"unplaced": report["reads_unplaced"], "filtered": report["reads_filtered"], "malformed": report["reads_malformed"]}
    if any(aside.values()):
        yield " / ".join(aside), " / ".join(map(_count, aside.values()))
        yield "not analysed", left_out(report["left_out"] or {}).replace(", ", "\n")
    if report["reads_handed_back"]:
        yield "handed back for the next session", _count(report["reads_handed_back"])
    yield "duration", f"{report['duration_s']:.1f} s{per_s}"
    depths = f"{report['max_queue_depth']} / {report['queue_capacity']}"
    yield "queue: deepest / bound, producers blocked", f"{depths}, {report['blocked_seconds']:.1f} s"
    yield "limits used", ", ".join(f"{name} {formatting.percent(share)}" for name, share in report["utilisation"].items()) or "none seen"
    yield "bottleneck, share of the time", formatting.shares(report["bottleneck_shares"]) or report["bottleneck"] or "none"
    yield "memory, peak of all processes", f"{report['peak_pss_mb']:.0f} MB"
    yield from _paid(report)


def _paid(report: Report) -> Iterator[Pair]:
    """What only the database knows."""
    tokens, latency = report["tokens"], report["latency_ms"]
    if tokens is None or latency is None:
        yield "requests, tokens, cost, latency", "unknown: the database could not be asked"
        return
    yield "requests / of them repairs / HTTP 429", f"{report['requests']:,} / {report['repairs']:,} / {report['http_429']:,}"
    if report["failures_by_kind"]:
        yield "failed requests", "\n".join(formatting.failures({kind: n}) for kind, n in report["failures_by_kind"].items())
    if report["usage_estimated"]:
        yield "answers without a count of tokens", f"{report['usage_estimated']:,}, at their worst case"
    if report["resent"]:
        yield "sent again after a failure", f"{report['resent']:,} ({formatting.percent(report['resent_share'])} of all)"
    tiers = report["reads_by_tier"] or {}
    if set(tiers) - {"on_demand"}:
        yield "reads by service tier", formatting.named(tiers)
    yield "tokens prompt / cached / completion", f"{tokens['prompt']:,} / {tokens['cached']:,} / {tokens['completion']:,}"
    per_1000 = report["cost_per_1000_reads"]
    yield "cost", f"${report['cost_usd']:.6f}" + ("" if per_1000 is None else f" (${per_1000:.4f} per 1,000 reads)")
    if report["authorised_usd"]:
        yield "could have cost, at most", f"${report['authorised_usd']:.6f}"
    if report["reads_repaid"] or report["possibly_billed"]:
        yield "reads paid for twice / possibly so", f"{report['reads_repaid']:,} / {report['reads_possibly_repaid']:,}"
        yield "requests possibly billed", f"{report['possibly_billed']:,} (${report['possibly_billed_usd']:.6f} of the cost, at most)"
    yield "latency p50 / p95 / p99", " / ".join(formatting.UNKNOWN if value is None else f"{value:.0f} ms" for value in latency.values())


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _agreement(found: Agreement) -> Iterator[Pair]:
    """There is no truth here, so this is not precision or recall: two opinions, side by side."""
    share = f" ({formatting.percent(found['reads_equal'] / found['reads'])})" if found["reads"] else ""
    yield "reads with the same differences", f"{found['reads_equal']:,} of {found['reads']:,}{share}"
    callers = f"{found['both']:,} / {found['only_call']:,} / {found['only_baseline']:,}"
    yield "differences named by both / only the model / only the aligner", callers


def _accuracy(report: Report, accuracy: ByType) -> Iterator[Table]:
    """How calls were compared, and what the model was asked where that is not the plain task; the headline first."""
    scoring, truths, identifiable = report["scoring"], report["truth_reads"], report["identifiable_reads"]
    assisted = "; ASSISTED task: the prompt held the alignment" if scoring and scoring["task"] == "assisted" else ""
    every, known = report["accuracy_all_differences"], report["simulated"]
    if every:
        yield accuracy_table(
            f"Calls against all that the reads show: mutations and sequencing errors{assisted}", every, None, simulated=known
        )
    title = f"Calls against the injected truth (haplotype-aware{assisted})"
    table = accuracy_table(title, accuracy, report["ceiling"], simulated=known)
    if scoring:
        table.caption = f"{table.caption}\n{formatting.uncertainty(scoring['uncertainty'], accuracy[ALL])}"
    if truths and identifiable is not None:
        share = formatting.percent(identifiable / truths)
        table.caption = f"{table.caption}\nidentifiable reads: {identifiable:,} of {truths:,} ({share})"
    yield table


def accuracy_table(title: str, accuracy: ByType, ceiling: ByType | None, *, simulated: bool) -> Table:
    """The model's measures by type, and beside them the aligner's on the same reads."""
    numbers = [Column(name, justify="right") for name in ("found / true", "right / called", "recall", "precision", "F1")]
    beside = [Column("ceiling", justify="right", style="dim")] if ceiling is not None else []
    title += " [EMULATOR]" if simulated else ""
    table = Table("type", *numbers, *beside, title=title, title_justify="left", caption_justify="left", min_width=64)
    rows = compared(accuracy, ceiling)
    for kind, row, best in rows:
        shares = (formatting.measure(row[key], row["ci"][key], "\n") for key in MEASURES)
        found, right = f"{row['tp']:,} / {row['tp'] + row['fn']:,}", f"{row['query_tp']:,} / {row['query_tp'] + row['fp']:,}"
        table.add_row(kind, found, right, *shares, *(formatting.share(best["f1"]) for _ in beside))
    table.caption = "with 95 % intervals; right: as the truths that they tell"
    if beside:
        table.caption += "; ceiling: F1 of an exact aligner on the same reads"
    if rows[-1].ceiling["fp_error"]:
        table.caption += (
            "\nthe reads hold sequencing errors, which nobody can tell from mutations in a single read: calling them is false here"
        )
    return table


def _mistakes(scoring: Scoring, accuracy: ByType) -> Iterator[Pair]:
    """What kind of mistakes these are, and how the reads came out as a whole."""
    for name, meaning in MISTAKES.items():
        found = scoring["mistakes"][name]
        yield (
            meaning,
            f"{found['count']:,} of {found['of']:,}: {formatting.percent(found['rate'])} {formatting.percents(found['ci'])}".rstrip(),
        )
    reads, failed, cost = scoring["reads"], scoring["failed"], scoring["cost"]
    yield "reads exactly right, by the model", _rate(reads["exact"])
    yield "reads exactly right, by the aligner", _rate(reads["baseline_exact"])
    if reads["described"]["count"] != reads["exact"]["count"]:
        yield "reads described exactly, sequencing errors included", _rate(reads["described"])
    if failed["reads"]:
        without = accuracy[ALL]["excluding_failed"]
        yield "reads without an answer, all their variants missed", f"{failed['reads']:,} ({formatting.percent(failed['frac_na'])})"
        for key in MEASURES:
            yield f"{key.replace('f1', 'F1')} if they are left out", formatting.measure(without[key], without["ci"][key])
        yield "reads exactly right if they are left out", _rate(reads["exact_answered"])
    if cost["usd_per_true_positive"]:
        yield "cost per variant found", f"${cost['usd_per_true_positive']:.7f}"
    if cost["baseline_us_per_read"] is not None:
        yield "CPU time of the aligner, a read", f"{cost['baseline_us_per_read']:.0f} us"


def _rate(found: Rate) -> str:
    return formatting.measure(found["rate"], found["ci"])
