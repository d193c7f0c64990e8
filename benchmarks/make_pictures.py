"""The pictures of the README: parts of the live page, drawn by its own functions from an example, as SVG that follows light and dark.

``make pictures`` writes docs/images/. No browser is needed: the page's HTML and style stand in the picture as they are.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from helix_ray._dashboard import panels, reads
from helix_ray._dashboard.drawing import style
from helix_ray._dashboard.feed import View
from helix_ray.config import Config
from helix_ray.metrics.recent import Mark, RecentRead
from helix_ray.metrics.snapshot import (
    Bottleneck,
    BucketView,
    Latency,
    MetricsSnapshot,
    Money,
    QueueView,
    Rates,
    RunInfo,
    StageView,
    ThrottleView,
    Totals,
)
from helix_ray.scoring.tally import Counts, ReadCounts
from helix_ray.sources import make_source

FOLDER = Path(__file__).parents[1] / "docs" / "images"
AT = 1_780_000_000.0
WIDTH = 1440


def example() -> MetricsSnapshot:
    """A run of the emulator that tokens hold, in its thirteenth minute."""
    seen = tuple(recent())
    waits = "TPM has 7,500 of 250,000 a minute left, and 31 requests wait for it; a shorter prompt or a higher limit would help"
    shares = (("source", 0.1, 0.8), ("queue", 0.1, 0.8), ("throttle", 0.97, 0.0), ("analyzers", 0.4, 0.55), ("sink", 0.2, 0.0))
    return MetricsSnapshot(
        as_of=AT,
        run=RunInfo("example", "endless", "emulator", True, "openai/gpt-oss-20b", max_cost_usd=1.0),
        state="RUNNING",
        rates=Rates(41.2, 41.0, 40.8),
        totals=Totals(stored=12_034, requests=12_400, failures=31, http_429=4, failures_by_kind=(("overloaded", 31),)),
        queue=QueueView(waiting=500, redelivered=0, leased=64, max_queue_depth=500, blocked_seconds=34.0, blocked=True),
        throttle=ThrottleView((BucketView("TPM", 250_000, 7_500), BucketView("RPM", 1_000, 420)), in_flight=33, waiting=31, binding="TPM"),
        money=Money(0.1523, 0.004, 1.0, usd_per_hour=0.91, cap_in_s=3_340.0),
        latency=Latency(143.0, 215.0, 290.0),
        slots=64,
        accuracy={"SNV": Counts(tp=3_200, fn=380, fp=310)},
        ceiling={"SNV": Counts(tp=3_570, fn=10, fp=4)},
        read_sums=ReadCounts(reads=4_512, answered=4_500),
        recent_reads=seen,
        recent_alerts=tuple(read for read in seen if read.marks),
        bottleneck=Bottleneck("tokens", waits, "throttle"),
        stages=tuple(StageView(name, busy, blocked, 1 - busy - blocked) for name, busy, blocked in shares),
        elapsed_s=723.0,
    )


def recent() -> list[RecentRead]:
    rng, found = random.Random(4), []
    for place, read in enumerate(make_source(Config.model_validate({"run": {"seed": 7}})).block(0).rows()[:24]):
        truths = [Mark(it.pos, it.ref, it.alt, it.type, "missed" if rng.random() < 0.3 else "found") for it in read.truth or ()]
        wrong = [Mark(31, read.ref_seq[30], "ACGT"["ACGT".index(read.ref_seq[30]) - 1], "SNV", "invented")] if place % 9 == 4 else []
        marks = tuple(sorted([*truths, *wrong], key=lambda mark: mark.pos))
        timing = {"latency_ms": rng.uniform(90, 260), "finished_at": AT - place * 0.3}
        seen = {"ref_seq": read.ref_seq, "seq": read.seq, "marks": marks}
        found.append(RecentRead(12_033 - place, f"hx{12_033 - place}", "stored", bool(marks), **timing, **seen))
    return found


def picture(body: str, height: int) -> str:
    css = style().replace(".stApp {", ":root { color-scheme: light dark;").removeprefix("<style>").removesuffix("</style>")
    own = ".page { background: var(--background); font-family: var(--font-sans); padding: 12px; display: grid; gap: 8px; }"
    escaped = f"{own} {css}".replace("&", "&amp;").replace("<", "&lt;")
    body = re.sub(r"<(/?)(section)", r"<\1div", body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f'<style>{escaped}</style><foreignObject width="100%" height="100%">'
        f'<div xmlns="http://www.w3.org/1999/xhtml" class="page">{body}</div></foreignObject></svg>'
    )


def main() -> None:
    snapshot = example()
    view = View(snapshot, live=True)
    columns = "display: grid; grid-template-columns: 1fr 1fr; gap: 8px;"
    both = f'<div style="{columns}">{reads.feed(snapshot)}{reads.alert_log(snapshot, reads.ALL)}</div>'
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "live.svg").write_text(picture(panels.state_bar(view) + panels.cells(view), 300), encoding="utf-8")
    (FOLDER / "reads.svg").write_text(picture(both, 275), encoding="utf-8")


if __name__ == "__main__":
    main()
