"""Any actor may die at any time; the run still ends with every read stored once."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from fix_run import Run, StartRun

CLASSES = ("ProducerActor", "QueueActor", "AnalyzerActor", "ThrottleActor", "SinkActor", "MetricsActor", "ControlActor")


def actor_pids(run: Run, kind: str) -> list[int]:
    found = []
    for process in psutil.Process(run.process.pid).children(recursive=True):
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if line and line[0].startswith(f"ray::{kind}"):
            found.append(process.pid)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLASSES)
def test_a_killed_actor_costs_no_read(kind: str, start_run: StartRun) -> None:
    run = start_run("source.count=900", "emulator.requests_per_minute=600", "emulator.latency_scale=0.2", "ray.dashboard=false")
    run.wait_for_stored_reads()
    run.wait_until(f"{kind} runs", lambda live: bool(actor_pids(live, kind)))
    victim = actor_pids(run, kind)[0]
    os.kill(victim, signal.SIGKILL)
    run.wait_until("a successor", lambda live: any(pid != victim for pid in actor_pids(live, kind)), timeout_s=60)
    code, report = run.finish()
    assert code == 0, run.output
    assert (report["reads_stored"], report["lost"], report["duplicates"]) == (900, 0, 0)


@pytest.mark.slow
def test_a_hung_actor_is_restarted(start_run: StartRun) -> None:
    run = start_run("source.count=900", "emulator.requests_per_minute=600", "emulator.latency_scale=0.2", "ray.dashboard=false")
    run.wait_for_stored_reads()
    victim = actor_pids(run, "AnalyzerActor")[0]
    os.kill(victim, signal.SIGSTOP)
    try:
        code, report = run.finish()
    finally:
        if psutil.pid_exists(victim):
            os.kill(victim, signal.SIGCONT)
    assert code == 0, run.output
    assert (report["reads_stored"], report["lost"], report["duplicates"]) == (900, 0, 0)
