"""Whole runs that are broken on purpose, each judged from outside. Run by `make chaos SCENARIO=outages COUNT=20`.

COUNT is the number of faults; each must find at least 8 requests in flight, or it is repeated.
"""

import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from chaos.killer import VERDICTS, Fire, UnderFire, let_pass, signal_all, until
from helix_ray.storage.embedded import EmbeddedServer

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]

KINDS = ("AnalyzerActor", "SinkActor", "QueueActor", "ThrottleActor", "ProducerActor", "MetricsActor", "ControlActor")
READS = 350
"""Asked between two faults, at most."""


def runs_of(hits: int, most: int) -> Iterator[int]:
    """Faults of each run."""
    for first in range(0, hits, most):
        yield min(most, hits - first)


def assert_promises(scenario: str, hits: int, exits: set[int] = frozenset({0})) -> None:
    verdict = VERDICTS[scenario]
    assert not verdict.broken(exits)
    assert verdict.hits >= hits


def test_kills(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGKILL of one actor of each kind in turn."""
    for number, most in enumerate(runs_of(hits, 10)):
        with under_fire("kills", own_server, READS * (most + 1), seed=number) as fire:
            fire.start()
            while fire.verdict.hits < most:
                fire.wait_busy()
                fire.hit(fire.one(KINDS[(10 * number + fire.verdict.hits) % len(KINDS)]))
                let_pass(0.5)
                fire.settle()
            fire.finish()
    assert_promises("kills", hits)


def test_outages(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """PostgreSQL hangs; an analyzer is killed when answers wait to be committed; PostgreSQL goes on."""
    for number, most in enumerate(runs_of(hits, 10)):
        with under_fire("outages", own_server, READS * (most + 1), seed=number) as fire:
            fire.start()
            while fire.verdict.hits < most:
                _outage_with_a_kill(fire, fire.random.uniform(0.5, 3.0))
                fire.settle()
            fire.finish()
    assert_promises("outages", hits)


def _outage_with_a_kill(fire: Fire, then_s: float) -> None:
    """Counts if enough answers had gone out since the database hung that each analyzer should hold 8 of them."""
    fire.wait_busy(24)
    stopped = fire.postgres_pids()
    began = time.time()
    signal_all(stopped, signal.SIGSTOP)
    try:
        waiting = until(lambda: fire.answers_since(began) >= 16, 10)
        fire.hit(fire.one("AnalyzerActor"), in_flight=0 if waiting else 1_000)
        let_pass(then_s)
    finally:
        signal_all(stopped, signal.SIGCONT)


def test_driver(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGKILL of the driver with 50 sends in the second before it, then the resume; the database is the run's own in every second run."""
    for number, most in enumerate(runs_of(hits, 5)):
        server = None if number % 2 else own_server
        with under_fire("driver", server, 2 * READS * (most + 1), in_flight=64, latency_s=0.8, seed=number) as fire:
            for _ in range(2 * most):
                run = fire.start()
                fire.wait_busy(64)
                died = fire.hit([run.process.pid], in_flight=0)
                run.process.wait(10)
                let_pass(10)
                fire.verdict.hits -= sum(died - 1 <= entry["time"] <= died for entry in fire.provider.requests()) < 50
                fire.count_late_sends(died)
                fire.verdict.notes["left before the resume"] += fire.left_now()
                if fire.verdict.hits == most:
                    break
            fire.start()
            fire.wait_busy(1)
            fire.note_processes()
            fire.finish()
    assert_promises("driver", hits)


def test_sigterm(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGTERM, in one of four while Ray starts, then the resume."""
    for number, most in enumerate(runs_of(hits, 4)):
        with under_fire("sigterm", own_server, READS * (most + 1), seed=number) as fire:
            for stop in range(most):
                run = fire.start()
                if stop == 0:
                    run.wait_until("Ray's start", lambda run: any(_name(each) == "gcs_server" for each in _children(run.process.pid)))
                    let_pass(fire.random.uniform(0.0, 2.0))
                    fire.hit([run.process.pid], signal.SIGTERM, in_flight=0)
                else:
                    fire.wait_busy()
                    fire.hit([run.process.pid], signal.SIGTERM)
                fire.end(60)
            fire.start()
            fire.wait_busy(1)
            fire.note_processes()
            fire.finish()
    assert_promises("sigterm", hits, {0, 130})


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def test_postmaster(hits: int, under_fire: UnderFire) -> None:
    """SIGKILL of the postmaster of the run's own PostgreSQL."""
    for number, most in enumerate(runs_of(hits, 5)):
        with under_fire("postmaster", None, READS * (most + 1), outage_s=30, seed=number) as fire:
            fire.start()
            while fire.verdict.hits < most:
                fire.wait_busy()
                fire.hit(fire.postgres_pids()[:1])
                let_pass(1.0)
                fire.settle()
            fire.finish()
    assert_promises("postmaster", hits)


def test_pauses(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGSTOP of each actor for 5 and 20 s; none is restarted for it."""
    for number, most in enumerate(runs_of(hits, 5)):
        with under_fire("pauses", own_server, 2 * READS * (most + 1), seed=number) as fire:
            run = fire.start()
            while fire.verdict.hits < most:
                fire.wait_busy()
                turn = 5 * number + fire.verdict.hits
                kind = KINDS[turn // 2 % len(KINDS)]
                paused = fire.one(kind)
                fire.hit(paused, signal.SIGSTOP, pause_s=(5.0, 20.0)[turn % 2])
                fire.settle()
                fire.verdict.notes[f"{kind} restarted"] += paused[0] not in run.actor_pids(kind)
            fire.finish()
    restarted = [note for note, times in VERDICTS["pauses"].notes.items() if times and note.endswith(" restarted")]
    assert not restarted
    assert_promises("pauses", hits)


def test_minutes(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """PostgreSQL is down for COUNT minutes, and an analyzer is killed when answers wait to be committed."""
    with under_fire("minutes", own_server, 4 * READS, outage_s=60 * hits + 300) as fire:
        fire.start()
        fire.wait_busy(24)
        began = time.time()
        own_server.halt("immediate")
        until(lambda: fire.answers_since(began) >= 16, 10)
        fire.hit(fire.one("AnalyzerActor"), in_flight=0)
        let_pass(60.0 * hits)
        own_server.join()
        back = time.time()
        sent = sum(began + 30 < entry["time"] < back for entry in fire.provider.requests())
        fire.verdict.notes["sent after 30 s of outage"] += sent
        fire.finish()
    assert sent == 0
    assert_promises("minutes", 1)
