"""What the monitor page costs and how fresh it is, with an hour of history: CPU of its server, updates that arrive, a browser's heap.

The page is the real one; in place of a run it watches a scripted client, whose state names the second. Viewers are WebSocket clients
that speak Streamlit's protocol as a browser does, timers included, and two tabs of Chromium beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import harness  # noqa: F401  (finds tests/support)
from support.page_viewer import PageViewer

JOIN_S, WATCH_S, SETTLE_S, HEAP_FROM_MIN = 5.0, 30, 3.0, 4
PAGE = Path(__file__).parents[1] / "tests/support/scripted_page.py"
MARK = re.compile(rb"mark(\d+)")
CHROMIUM, FLAGS = "/usr/bin/chromium", ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--js-flags=--expose-gc"]


@dataclass
class Viewer:
    """One WebSocket client; ``seen`` has when each second of the run arrived."""

    seen: dict[int, float] = field(default_factory=dict)

    def got(self, data: bytes) -> None:
        for mark in MARK.findall(data):
            self.seen.setdefault(int(mark), time.time())


async def measure(port: int, count: int, tabs: int, server: psutil.Process) -> str:
    """A row of the table: ``count`` viewers who join within five seconds, beside ``tabs`` others, watched for half a minute."""
    viewers = [Viewer() for _ in range(count)]

    async def join(place: int, viewer: Viewer) -> None:
        await asyncio.sleep(JOIN_S * place / count)
        await PageViewer(port, f"http://127.0.0.1:{port}").watch(viewer.got)

    tasks = [asyncio.create_task(join(place, viewer)) for place, viewer in enumerate(viewers)]
    await asyncio.sleep(JOIN_S + SETTLE_S)
    first, cpu, began = int(time.time()), sum(server.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(WATCH_S)
    cpu, took = sum(server.cpu_times()[:2]) - cpu, time.monotonic() - began
    seconds = range(first, first + WATCH_S)
    await asyncio.sleep(SETTLE_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ages = [viewer.seen[second] - second for viewer in viewers for second in seconds if second in viewer.seen]
    p95 = statistics.quantiles(ages, n=20)[-1] if len(ages) > 1 else float("nan")
    arrived = len(ages) / (count * WATCH_S)
    return f"| {count} + {tabs} | {1000 * cpu / took / (count + tabs):.1f} | {100 * cpu / took:.0f} % | {100 * arrived:.1f} % | {p95:.2f} |"


@contextlib.contextmanager
def tabs(port: int, count: int) -> Iterator[list[object]]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        pages = [browser.new_page(viewport={"width": 1440, "height": 900}) for _ in range(count)]
        for page in pages:
            page.goto(f"http://127.0.0.1:{port}")
            page.get_by_text(re.compile("mark")).first.wait_for(timeout=60_000)
        yield pages
        browser.close()


def heap_slope(port: int, minutes: int) -> str:
    """MB a minute of one tab's heap after a forced collection, from the fourth minute on."""
    with tabs(port, 1) as (page,):
        session = page.context.new_cdp_session(page)  # type: ignore[attr-defined]
        sizes: list[tuple[float, float]] = []
        began = time.monotonic()
        while (at := (time.monotonic() - began) / 60) < minutes:
            page.wait_for_timeout(20_000)  # type: ignore[attr-defined]
            session.send("HeapProfiler.collectGarbage")
            sizes.append((at, session.send("Runtime.getHeapUsage")["usedSize"] / 1e6))
        late = [pair for pair in sizes if pair[0] >= min(HEAP_FROM_MIN, minutes / 2)]
        slope = statistics.linear_regression(*zip(*late, strict=True)).slope
        return f"heap: {sizes[0][1]:.1f} MB at first, {sizes[-1][1]:.1f} MB after {minutes} min, {slope:+.2f} MB/min at the end"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--tabs", type=int, default=2, help="tabs of Chromium beside the viewers, each a viewer too")
    parser.add_argument("--heap-minutes", type=int, default=0, help="watch one tab's heap for so long, from 6 on")
    arguments = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(PAGE), str(port)])
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        server = psutil.Process(process.pid)
        print("| viewers + tabs | CPU ms per viewer-second | server CPU | updates that arrive | freshness p95, s |\n|---|---|---|---|---|")
        asyncio.run(measure(port, 1, 0, server))  # what is drawn for the first time is not counted
        for count in arguments.viewers:
            if arguments.tabs:
                with tabs(port, arguments.tabs), ThreadPoolExecutor(1) as pool:  # Playwright's own loop holds this thread
                    row = pool.submit(asyncio.run, measure(port, count, arguments.tabs, server)).result()
            else:
                row = asyncio.run(measure(port, count, arguments.tabs, server))
            print(row, flush=True)
        if arguments.heap_minutes:
            print(heap_slope(port, arguments.heap_minutes))
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
