"""Any actor may die at any time; the run still ends with every read stored once."""

import os
import signal
from decimal import Decimal

import psutil
import pytest

from fix_run import StartRun, helix
from helix_ray.environment.logs import Event
from helix_ray.session.watch import UNKNOWN_DEATH
from support.run_log import kind_of, of, read_log, successors

CLASSES = ("ProducerActor", "QueueActor", "AnalyzerActor", "ThrottleActor", "SinkActor", "MetricsActor", "ControlActor")
READS = 900


def test_each_actor_is_killed_once_and_neither_a_read_nor_money_is_lost(start_run: StartRun) -> None:
    run = start_run(
        f"source.count={READS}",
        "source.rate_per_s=10",  # slow enough to outlast the killing
        "throttle.max_cost_usd=0.2",
        "analyzer.requests_in_flight=32",
        "analyzer.workers=2",
        "emulator.tier=unlimited",
        "emulator.latency_scale=2",  # so that each death finds requests in flight
        "ray.dashboard=false",
        args=["--hold"],
    )
    run.wait_for_stored_reads(50)
    before = run.status()
    order = ("MetricsActor", *(kind for kind in CLASSES if kind != "MetricsActor"))
    for kind in order:
        run.kill_one(kind)
    run.wait_until("the log of all deaths", lambda run: len(of(read_log(run.home), Event.ACTOR_RESTARTED)) == len(order))

    # a metrics actor that came back empty is told by the driver again whose answers these are
    after: list[dict[str, object]] = []

    def is_told_again(_: object) -> bool:
        after.append(run.status())
        return after[-1]["run"]["run_id"] == before["run"]["run_id"]  # type: ignore[index]

    run.wait_until("status that knows the run", is_told_again)
    assert before["run"]["simulated"] is True
    assert after[-1]["run"]["simulated"] is True  # type: ignore[index]
    assert helix(run.home, "control", "rate", "1000").returncode == 0
    report = run.wait_for_report()
    charged = run.bill_usd()
    run.wait_for_output("Held:")
    run.interrupt()
    code, _ = run.finish()
    assert code == 0, run.output
    assert (report["reads_stored"], report["lost"], report["duplicates"]) == (READS, 0, 0)
    assert report["simulated"] is True
    assert charged <= Decimal(str(report["cost_usd"])) + Decimal("1e-9")
    assert Decimal(str(report["cost_usd"])) <= Decimal("0.2")

    log = read_log(run.home)
    assert [kind_of(line) for line in successors(log)] == [*order]
    told = [(line["part"], line["now"]) for line in of(log, Event.ACTOR_RESTARTED)]
    assert sorted(told) == sorted((line["actor"], line["incarnation"]) for line in successors(log))
    dead = [(line["part"], line["was"], line["cause"]) for line in of(log, Event.ACTOR_DIED)]
    first = {line["actor"]: line["incarnation"] for line in of(log, Event.ACTOR_STARTED) if line["starts"] == 1}
    assert sorted(dead) == sorted((name, first[name], UNKNOWN_DEATH) for name, _ in told)
    assert [line["accepted"] for line in of(log, Event.COMMAND)] == [True]
    assert log[0]["event"] == Event.SESSION_STARTED
    assert [line["exit_code"] for line in of(log, Event.SESSION_ENDED)] == [0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["QueueActor", "AnalyzerActor", "SinkActor"])  # those that hold reads
def test_a_killed_actor_costs_no_read(kind: str, start_run: StartRun) -> None:
    run = start_run(
        "source.count=700", "source.rate_per_s=60", "emulator.tier=unlimited", "emulator.latency_scale=0.2", "ray.dashboard=false"
    )
    run.wait_for_stored_reads()
    run.kill_one(kind)
    code, report = run.finish()
    assert code == 0, run.output
    assert (report["reads_stored"], report["lost"], report["duplicates"]) == (700, 0, 0)


@pytest.mark.slow
def test_a_hung_actor_is_restarted(start_run: StartRun) -> None:
    run = start_run("source.count=900", "emulator.requests_per_minute=600", "emulator.latency_scale=0.2", "ray.dashboard=false")
    run.wait_for_stored_reads()
    victim = min(run.actor_pids("AnalyzerActor"))
    os.kill(victim, signal.SIGSTOP)
    try:
        code, report = run.finish()
    finally:
        if psutil.pid_exists(victim):
            os.kill(victim, signal.SIGCONT)
    assert code == 0, run.output
    assert (report["reads_stored"], report["lost"], report["duplicates"]) == (900, 0, 0)
