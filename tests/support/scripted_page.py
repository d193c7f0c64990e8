"""The page with a run that is made up, for a benchmark and for a browser: ``python scripted_page.py PORT [BEACON]``.

With BEACON, an address, every text of that run is hostile: it tries to fetch from there, to run a script, or to leave its place.
"""

from __future__ import annotations

import enum
import gc
import itertools
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import uvicorn

from helix_ray._dashboard import shared
from helix_ray._dashboard.app import app
from helix_ray._dashboard.feed import Feed
from helix_ray.client.stored import Compared, DeadLetter, ReadStory, RunBooks, RunCounts, RunSummary, StoredRun
from helix_ray.metrics.recent import Mark, RecentRead
from helix_ray.metrics.snapshot import (
    ActorView,
    Bottleneck,
    BucketView,
    CommandView,
    ControlView,
    HistoryPoint,
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
from helix_ray.records import ApiCall, CallState, ControlEvent, ControlOutcome, Disposition, Read, ReadResult, RunStatus, ScoredVariant
from helix_ray.scoring.tally import Counts

HISTORY_S = 3600
READS = 50
WINDOW = "ACGT" * 37
HOSTILE = (
    "<script src={0}/1></script>", "<script>window.ran=1</script>", "<img src={0}/2>", "<img src=x onerror='window.ran=1'>", "![x]({0}/3)",
    "[![x]({0}/4)]({0}/5)", "<iframe src={0}/6></iframe>", "<svg onload='window.ran=1'>", "<svg><image href={0}/7></svg>",
    "<style>@import '{0}/8';</style>", "<link rel=stylesheet href={0}/9>", "<div style='background:url({0}/10)'>x</div>",
    "<object data={0}/11></object>", "<embed src={0}/12>", "<video src={0}/13 autoplay></video>", "<audio src={0}/14 autoplay></audio>",
    "<base href={0}/15/>", "<meta http-equiv=refresh content='0;url={0}/16'>", "<a href='javascript:window.ran=1' ping={0}/17>x</a>",
    "<form action={0}/18><button autofocus>x</button></form>", "\"><img src={0}/19>",
    "'-window.ran=1-'", "</style></title><img src={0}/20>",
    "$\\\\href{{javascript:window.ran=1}}{{x}}$ :material/home: <math><mtext><img src={0}/21>", "\x1b]8;;{0}/22\x07\u202e <IMG SRC={0}/23>",
)  # fmt: skip

Value = TypeVar("Value")


def made_up() -> MetricsSnapshot:
    began = time.time() - HISTORY_S
    marks = (Mark(60, "T", "C", "SNV", "found"), Mark(90, "A", "G", "SNV", "missed"), Mark(100, "T", "G", "SNV", "invented"))
    reads = tuple(
        RecentRead(at, f"hx{at}", "stored", True, ("60 T>C SNV",), "1 TP, 1 FN", 120.0, 1e-5, None, began, 0, WINDOW, WINDOW, marks)
        for at in range(READS)
    )
    types = {name: Counts(tp=900, fn=80, fp=30) for name in ("SNV", "MNV", "INS", "DEL", "DELINS")}
    return MetricsSnapshot(
        as_of=began,
        run=RunInfo("run", "demo", "emulator", True, "openai/gpt-oss-20b", 1.0, began, max_cost_usd=1.0),
        state="RUNNING",
        reason="reads flow",
        rates=Rates(140.0, 139.0, 138.0),
        totals=Totals(500_000, 499_000, 498_000, 12, 498_000, 40, 3, failures_by_kind=(("capacity", 3),), reads_by_tier=(("flex", 9),)),
        queue=QueueView(312, 0, 64, 20, 500, 500, blocked=True, blocked_seconds=9.0),
        money=Money(0.15, 0.01, 1.0, usd_per_hour=0.9, cap_in_s=3180.0),
        latency=Latency(120.0, 215.0, 400.0),
        throttle=ThrottleView(tuple(BucketView(name, 1000, 30) for name in ("RPM", "TPM")), 64, 31, binding="TPM"),
        slots=64,
        accuracy=types,
        ceiling=types,
        strata={"length": types},
        progress=0.61,
        elapsed_s=723.0,
        actors=tuple(ActorView(f"helix-analyzer-{at}", 0.5, 71.0) for at in range(8)),
        recent_reads=reads,
        recent_alerts=reads,
        control=ControlView(spike_refusal="the source has no rate"),
        bottleneck=Bottleneck("none", ""),
        stages=tuple(StageView(name, 0.5, 0.3, 0.2) for name in ("source", "queue", "throttle", "analyzers", "sink")),
        commands=(CommandView("pause", None, began, began, began, True),),
    )


class Client:
    """A run in its second hour: every second other rates and other reads, and a state whose reason names the second."""

    launched = None

    def __init__(self, spoil: Callable[[MetricsSnapshot], MetricsSnapshot] | None = None) -> None:
        self._spoil = spoil
        self._snapshot = made_up()
        began = self._snapshot.as_of
        self._points = [
            HistoryPoint(began + at, at * 7 % 500, 0, 20, 140.0 + at % 9, 139.0, 138.0 + at % 5, 0, at / 1e4, at % 9 == 0, False)
            for at in range(HISTORY_S)
        ]

    def snapshot(self) -> MetricsSnapshot:
        now = time.time()
        turn = int(now) % READS
        reads = self._snapshot.recent_reads[turn:] + self._snapshot.recent_reads[:turn]
        reads = tuple(replace(read, finished_at=now) for read in reads)
        rates = replace(self._snapshot.rates, offered=140.0 + turn)
        made = replace(self._snapshot, as_of=now, reason=f"mark{int(now)}", rates=rates, recent_reads=reads, recent_alerts=reads)
        return made if self._spoil is None else self._spoil(made)

    def history(self, since: float = 0.0) -> list[HistoryPoint]:
        now = float(int(time.time()))
        if now > self._points[-1].t:
            self._points = [*self._points[1:], replace(self._points[-1], t=now, waiting=int(now) % 500)]
        return [point for point in self._points if point.t > since]

    def is_live(self) -> bool:
        return True


class Stored:
    """The database's side of it, spoiled all through."""

    def __init__(self, spoil: Callable[[Any], Any]) -> None:
        self._spoil, self._at = spoil, datetime.now(UTC)
        self._runs: list[RunSummary] = spoil([RunSummary("a", "n", "m", True, RunStatus.RUNNING, 70, Decimal(0), self._at)])

    def all(self) -> list[RunSummary]:
        return self._runs  # the same ones each time, so that one can be chosen

    def compare(self, baseline: str, run_id: str) -> Compared:
        run, name, warning, verdict = self._spoil(["r", "n", "w", "v"])
        runs, standing = [{"run_id": run, "run_name": name}] * 2, {"exact": 0.5, "exact_ci": (0.4, 0.6), "f1": None, "f1_ci": None}
        found: Any = {"runs": runs, "standings": [standing] * 2, "reads": 70, "margin": 0.01, "warnings": [warning]}
        return Compared(found, "+1.2 [0.4, 2.0]", verdict, ("0.1500", "–"))

    def books(self, run_id: str) -> RunBooks:
        config = '{"analyzer": {"model": "m", "prompt": "raw"}, "source": {"count": 70}, "x": "<img src=x>"}'
        run = StoredRun(
            run_id, "n", config, "ab", 1, {"a": "b"}, None, self._at, "m", True, None, RunStatus.RUNNING, 0, 70, Decimal(0), None, ()
        )
        counts = RunCounts(70, {}, {}, 0, 0, 0, 70, 0, {}, 0, 0, 0, 0, Decimal(0), 0.0, {}, 0, 0)
        event = (ControlEvent("r", "a", "b", self._at, "c", "d", "e"), ControlOutcome(True, "m", "f", "g", self._at, self._at))
        books: RunBooks = self._spoil(RunBooks(run, counts, [event]))
        return replace(books, run=replace(books.run, config_json=config))

    def read(self, run_id: str, named: str) -> ReadStory:
        read = Read(7, "i", "c", 0, "+", WINDOW, WINDOW, None, (), True, None, None, None)
        call = ScoredVariant("call", 5, "A", "T", "SNV", None, 0.9, "ok", "FP", "r")
        result = ReadResult(read, Disposition.DEAD_LETTER, [call], True, raw_answer="a", error_kind="k", error="e")
        asked = ApiCall("c", "analysis", 1, [7], CallState.ANSWERED, 200, "m", created_at=self._at)
        story: ReadStory = self._spoil(ReadStory(result, [asked], "s", "u"))
        return story

    def dead_letters(self, run_id: str, limit: int) -> list[DeadLetter]:
        letters: list[DeadLetter] = self._spoil([DeadLetter(7, "i", "k", "e", 3, self._at)])
        return letters

    def report_page(self, run_id: str) -> None:
        return None


def spoiled(value: Value, texts: itertools.cycle[str]) -> Value:
    """With another hostile text in place of every text, however deep."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return next(texts)  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: spoiled(getattr(value, field.name), texts) for field in fields(value)})
    if isinstance(value, dict):
        return {spoiled(key, texts): spoiled(held, texts) for key, held in value.items()}  # type: ignore[return-value]
    if isinstance(value, Counts) or not isinstance(value, list | tuple):
        return value
    made = [spoiled(held, texts) for held in value]
    return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)


def main(port: int, beacon: str | None) -> None:
    texts = itertools.cycle(text.format(beacon) for text in HOSTILE)
    feed = Feed(Client() if beacon is None else Client(lambda made: spoiled(made, texts)))  # type: ignore[arg-type]
    shared.feed = lambda: feed  # type: ignore[assignment]
    if beacon is not None:
        stored = Stored(lambda made: spoiled(made, texts))
        shared.stored = lambda: stored  # type: ignore[assignment,return-value]
    gc.collect()
    gc.freeze()  # as the page does
    logging.disable(logging.WARNING)
    uvicorn.run(app, host="127.0.0.1", port=port, ws="websockets-sansio", log_config=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), next(iter(sys.argv[2:]), None))
