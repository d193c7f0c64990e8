"""A live run and a second terminal, which makes the run wait for one thing after another, pauses, speeds up and drains it."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from fix_run import ONE_OF_EACH, Run, StartRun, helix
from support.imported import HEAVY, PROFILED, imported

LOOK_S = 0.5  # as often as the run's driver looks
LOOKS = 8
"""Of each phase at least, beginning with the first that names what the run waits for."""

WATCHER = f"""
import json, time
from helix_ray.client import attach
from helix_ray.metrics.snapshot import as_json
client = attach()
while True:
    seen = as_json(client.snapshot(60.0))
    print(json.dumps({{key: seen[key] for key in ("state", "bottleneck", "slots", "money")}}), flush=True)
    time.sleep({LOOK_S})
"""
"""Of what `helix status --json` prints, again and again: to start a process for each look would take the machine from the run."""

Look = dict[str, Any]


class SecondTerminal:
    """Looks at a live run all the time, commands it, and changes the world around it."""

    def __init__(self, run: Run, database_url: str) -> None:
        self.run = run
        self.seconds: dict[str, float] = {}  # of each phase, from the first look that named what the run waited for
        self._database_url = database_url
        self._looks = run.log.with_suffix(".looks")

    @contextmanager
    def watching(self) -> Iterator[None]:
        with self._looks.open("wb") as out:
            command, environment = [sys.executable, "-c", WATCHER], {"HELIX_HOME": str(self.run.home)}
            watcher = subprocess.Popen(command, stdout=out, env={**os.environ, **environment}, cwd=self.run.home.parent)
        try:
            yield
        finally:
            watcher.kill()
            watcher.wait()

    def looks(self) -> list[Look]:
        return [json.loads(line) for line in self._looks.read_text().split("\n")[:-1]]

    def until(self, what: str, holds: Callable[[Look], bool]) -> int:
        """The number of the first look from now on at which it does."""
        start = len(self.looks())
        self.run.wait_until(what, lambda _: any(map(holds, self.looks()[start:])))
        return next(number for number, look in enumerate(self.looks()) if number >= start and holds(look))

    def sees(self, name: str) -> None:
        """The phase in which the run waits for this: live, most of the time, and on a line of progress."""
        first, began = self.until(f"a wait for {name}", lambda look: look["bottleneck"]["name"] == name), time.monotonic()
        self.run.wait_for_output(f"waits for {name}")
        self.run.wait_until(f"{LOOKS} looks", lambda _: len(self.looks()) >= first + LOOKS)
        looks = Counter(look["bottleneck"]["name"] for look in self.looks()[first:])
        assert share_of(name, {each: count / looks.total() for each, count in looks.items()}) > 0.5, looks
        self.seconds[name] = time.monotonic() - began

    def control(self, *arguments: str) -> None:
        result = helix(self.run.home, "control", *arguments)
        assert result.returncode == 0, result.stdout + result.stderr + self.run.output

    def emulator(self, **keys: float) -> None:
        with urllib.request.urlopen(f"{self.run.emulator_url}/_ctl/set", json.dumps(keys).encode(), timeout=10) as reply:
            assert reply.status == 200

    def database(self, *statements: str) -> None:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


def share_of(name: str, shares: Mapping[str, float]) -> float:
    """Of the looks that found anything."""
    return shares[name] / (1 - shares.get("none", 0.0))


def bounds_of(status: Look) -> tuple[int, float]:
    """Requests in flight of the one analyzer, and the cost cap in US dollars."""
    return status["slots"], status["money"]["max_cost_usd"]


SLOWLY = (
    "create function helix.slowly() returns trigger language plpgsql as 'begin perform pg_sleep(1); return null; end'",
    "create trigger slowly after insert on helix.reads for each statement execute function helix.slowly()",
)
UNLIMITED = 10**9


def test_a_live_run_names_what_it_waits_for_and_is_paused_resumed_and_drained(database_url: str, start_run: StartRun) -> None:
    run = start_run(
        *ONE_OF_EACH,
        "source.count=null",
        "source.batch_size=10",
        "queue.capacity=100",  # soon empty when the producer is slow
        "queue.low_watermark=20",
        "analyzer.requests_in_flight=16",
        "throttle.adaptive_concurrency=false",
        "sink.batch_size=10",
        f"emulator.requests_per_minute={UNLIMITED}",
        f"emulator.tokens_per_minute={UNLIMITED}",
        "emulator.latency_scale=4",
        "emulator.error_rates.drop=0",
        "ray.dashboard=false",
    )
    run.wait_for_output("Live page:")
    terminal = SecondTerminal(run, database_url)
    with terminal.watching():
        terminal.sees("API latency")
        seen = run.status()
        assert seen["state"] == "RUNNING"
        assert seen["run"]["simulated"] is True
        shown = helix(run.home, "status", **PROFILED)
        assert "RUNNING" in shown.stdout, shown.stderr
        assert not imported(shown.stderr) & (HEAVY - {"pyarrow"})  # which Ray asks for, and does not get: it would bring numpy

        terminal.emulator(latency_scale=0.2)
        terminal.control("rate", "10")
        terminal.sees("producer")

        terminal.database(*SLOWLY)
        terminal.control("rate", "200")
        terminal.sees("sink")

        terminal.control("pause")
        terminal.until("a pause", lambda look: look["state"] == "PAUSED")
        terminal.database("drop trigger slowly on helix.reads")
        terminal.emulator(requests_per_minute=20)
        terminal.control("resume")
        terminal.until("the end of the pause", lambda look: look["state"] == "RUNNING")
        terminal.control("spike", "--rate", "500", "--seconds", "1")
        terminal.control("concurrency", "3")
        terminal.control("budget", "2.5")
        terminal.until("the new bounds are in effect", lambda look: bounds_of(look) == (3, 2.5))
        terminal.sees("requests")
        terminal.emulator(requests_per_day=1)
        terminal.sees("daily limit")
    terminal.control("drain")
    code, report = run.finish()
    assert code == 130, run.output
    assert report["lost"] == 0
    assert "drain" in report["reason"]
    shares = report["bottleneck_shares"]
    assert sum(shares.values()) == pytest.approx(1.0, abs=0.01)
    assert shares[report["bottleneck"]] == max(share for name, share in shares.items() if name != "none")
    for name, seconds in terminal.seconds.items():
        assert shares[name] * report["duration_s"] > 0.5 * seconds, (name, seconds, shares)
