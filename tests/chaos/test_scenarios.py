"""Whole runs that are broken on purpose, each judged from outside. `make chaos SCENARIO=outages COUNT=20`: so many faults.

Each fault must find the pipeline busy, or it is repeated.
"""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, LiteralString

import psutil
import psycopg
import pytest

from chaos.killer import VERDICTS, Fire, UnderFire, let_pass, signal_all, until
from helix_ray.storage.embedded import EmbeddedServer
from support.postgres_proxy import Fault, PostgresProxy

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]

ANALYZER = "AnalyzerActor"
KINDS = (ANALYZER, "SinkActor", "QueueActor", "ThrottleActor", "ProducerActor", "MetricsActor", "ControlActor")
EXITS = frozenset({0})
SERVER_OF_THE_RUN = None
FULL_S = 5.0
"""Until the database has used up the room that it had already."""


def shoot(
    scenario: str,
    under_fire: UnderFire,
    servers: Sequence[EmbeddedServer | None],
    hits: int,
    strike: Callable[[Fire, int], object],
    most: int = 10,
    reads: int = 350,
    **how: float,
) -> None:
    """Runs with ``most`` faults each, for each of which there are ``reads``. A strike is told how many faults counted before it."""
    for number, first in enumerate(range(0, hits, most)):
        wanted = min(most, hits - first)
        with under_fire(scenario, servers[number % len(servers)], reads * (wanted + 1), seed=number, **how) as fire:
            fire.start()
            while fire.verdict.hits < wanted:
                fire.wait_busy()
                strike(fire, first + fire.verdict.hits)
                fire.settle()
            fire.finish()


def assert_promises(scenario: str, hits: int, exits: frozenset[int] = EXITS) -> None:
    verdict = VERDICTS[scenario]
    assert not verdict.broken(exits)
    assert verdict.hits >= hits


def test_kills(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGKILL of one actor of each kind in turn. Only an analyzer holds requests that a kill may cost."""

    def kill(fire: Fire, turn: int) -> None:
        kind = KINDS[turn % len(KINDS)]
        fire.hit(fire.one(kind), struck=kind)

    shoot("kills", under_fire, [own_server], hits, kill)
    assert set(VERDICTS["kills"].in_flight_of) <= {ANALYZER}
    assert_promises("kills", hits)


def test_outages(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """PostgreSQL hangs; an analyzer is killed when each analyzer should hold 8 answers that wait to be committed; PostgreSQL goes on."""

    def hang_and_kill(fire: Fire, _: int) -> None:
        fire.wait_busy(24)
        stopped = fire.postgres_pids()
        began = time.time()
        signal_all(stopped, signal.SIGSTOP)
        try:
            waiting = until(lambda: fire.answers_since(began) >= 16, 10)
            fire.hit(fire.one(ANALYZER), in_flight=0 if waiting else 1_000, struck=ANALYZER)
            let_pass(fire.random.uniform(0.5, 3.0))
        finally:
            signal_all(stopped, signal.SIGCONT)

    shoot("outages", under_fire, [own_server], hits, hang_and_kill)
    assert_promises("outages", hits)


def test_driver(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGKILL of the driver with 50 sends in the second before it, then the resume."""

    def kill_and_resume(fire: Fire, _: int) -> None:
        fire.wait_busy(64)
        died = fire.hit([fire.live.process.pid], in_flight=0, struck="driver")
        fire.live.process.wait(10)
        fire.count_left()
        fire.verdict.hits -= sum(died - 1 <= entry["time"] <= died for entry in fire.provider.requests()) < 50
        fire.count_late_sends(died)
        fire.start()

    servers = [own_server, SERVER_OF_THE_RUN]
    shoot("driver", under_fire, servers, hits, kill_and_resume, most=5, reads=900, in_flight=64, latency_s=0.8)
    assert_promises("driver", hits)


def test_sigterm(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGTERM, then the resume; in one of four while Ray starts."""

    def terminate_and_resume(fire: Fire, turn: int) -> None:
        fire.hit([fire.live.process.pid], signal.SIGTERM, struck="driver")
        fire.end(60)
        run = fire.start()
        if turn % 4 == 2:
            run.wait_until("Ray's start", lambda run: "gcs_server" in _children(run.process.pid))
            let_pass(fire.random.uniform(0.0, 2.0))
            fire.hit([run.process.pid], signal.SIGTERM, in_flight=0, struck="driver")
            fire.end(60)
            fire.start()

    shoot("sigterm", under_fire, [own_server], hits, terminate_and_resume, most=4)
    assert_promises("sigterm", hits, EXITS | {130})


def _children(pid: int) -> set[str]:
    return {info["name"] for child in psutil.Process(pid).children(recursive=True) if (info := child.as_dict(["name"]))}


def test_postmaster(hits: int, under_fire: UnderFire) -> None:
    """SIGKILL of the postmaster of the run's own PostgreSQL."""
    shoot(
        "postmaster",
        under_fire,
        [SERVER_OF_THE_RUN],
        hits,
        lambda fire, _: fire.hit(fire.postgres_pids()[:1], struck="PostgreSQL"),
        most=5,
        outage_s=30,
    )
    assert_promises("postmaster", hits)


def test_pauses(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """SIGSTOP of each actor for 5 and 20 s; none is restarted for it, and 5 s later all is as before."""

    def pause(fire: Fire, turn: int) -> None:
        kind = KINDS[turn // 2 % len(KINDS)]
        paused = fire.one(kind)
        fire.hit(paused, signal.SIGSTOP, pause_s=(5.0, 20.0)[turn % 2], struck=kind)
        fire.verdict.notes["silent after it"] += not fire.asks_again(5.0)
        fire.settle()
        fire.verdict.notes["restarted"] += paused[0] not in fire.live.actor_pids(kind)

    shoot("pauses", under_fire, [own_server], hits, pause, most=5, reads=700)
    notes = VERDICTS["pauses"].notes
    assert (notes["restarted"], notes["silent after it"]) == (0, 0)
    assert_promises("pauses", hits)


def test_minutes(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """PostgreSQL is down for COUNT minutes, and an analyzer is killed when answers wait to be committed."""

    def take_away(fire: Fire, _: int) -> None:
        fire.wait_busy(24)
        began = time.time()
        own_server.halt("immediate")
        until(lambda: fire.answers_since(began) >= 16, 10)
        fire.hit(fire.one(ANALYZER), in_flight=0, struck=ANALYZER)
        let_pass(60.0 * hits)
        back = time.time()
        own_server.join()
        fire.verdict.notes["sent after 30 s"] += sum(began + 30 < entry["time"] < back for entry in fire.provider.requests())

    shoot("minutes", under_fire, [own_server], 1, take_away, reads=700, outage_s=60 * hits + 300)
    assert VERDICTS["minutes"].notes["sent after 30 s"] == 0
    assert_promises("minutes", 1)


def test_connections(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """The connection to PostgreSQL breaks at a request, at a reply, or with the reply to a COMMIT, which is every fourth."""
    faults: tuple[Fault, ...] = ("commit", "request", "reply", "request")
    most = 100
    with PostgresProxy(socket_of(own_server)) as proxy:
        for number, first in enumerate(range(0, hits, most)):
            wanted = min(most, hits - first)
            with under_fire("connections", own_server, 40 * wanted + 300, seed=number, in_flight=48, through=proxy.url) as fire:
                fire.start()
                fire.wait_busy()
                while fire.verdict.hits < wanted:
                    before = proxy.faults.total()
                    proxy.arm(faults[fire.verdict.hits % len(faults)])
                    assert until(lambda before=before: proxy.faults.total() > before, 30), "no connection to break"  # type: ignore[misc]
                    fire.verdict.hits += 1
                    let_pass(fire.random.uniform(0.0, 0.3))
                fire.finish()
        VERDICTS["connections"].notes.update({f"{name} lost": count for name, count in proxy.faults.items()})
        assert proxy.faults["commit"] >= hits // 4
    assert not VERDICTS["connections"].in_flight
    assert_promises("connections", hits)


def socket_of(server: EmbeddedServer) -> Path:
    port, folder = (server.home / "postgres/postmaster.pid").read_text().splitlines()[3:5]
    return Path(folder) / f".s.PGSQL.{port}"


def test_postgres(hits: int, own_server: EmbeddedServer, under_fire: UnderFire) -> None:
    """PostgreSQL is restarted, dies, becomes read-only, ends its sessions, or a row or a table of ours is locked for 8 s."""

    def restart(how: Literal["fast", "immediate"]) -> None:
        own_server.halt(how)
        own_server.join()

    def read_only() -> None:
        for setting in ("on", "off"):
            with psycopg.connect(own_server.url, autocommit=True) as connection:
                connection.execute("set default_transaction_read_only = off")
                connection.execute(f"alter system set default_transaction_read_only = {setting}")  # type: ignore[call-overload]
                connection.execute("select pg_reload_conf()")
            let_pass(5.0)

    def locked(statement: LiteralString) -> None:
        with psycopg.connect(own_server.url) as connection:
            connection.execute(statement)
            let_pass(8.0)

    def end_sessions() -> None:
        with psycopg.connect(own_server.url) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
            )

    faults: tuple[Callable[[], None], ...] = (
        lambda: restart("fast"),
        lambda: restart("immediate"),
        read_only,
        end_sessions,
        lambda: locked("select from helix.runs for update"),
        lambda: locked("lock table helix.reads in access exclusive mode"),
    )

    def strike(fire: Fire, turn: int) -> None:
        began = fire.hit([], struck="PostgreSQL")
        faults[turn % len(faults)]()
        fire.verdict.notes["silent after it"] += not fire.asks_again(20.0)
        fire.verdict.notes["seconds"] += round(time.time() - began)

    shoot("postgres", under_fire, [own_server], hits, strike, most=6, reads=600)
    assert VERDICTS["postgres"].notes["silent after it"] == 0
    assert not VERDICTS["postgres"].in_flight
    assert_promises("postgres", hits)


def test_disk(hits: int, small_disk: Path, under_fire: UnderFire) -> None:
    """No room for the database, the spool and the logs for 12 s; in every other one PostgreSQL dies of it."""

    def fill(fire: Fire, turn: int) -> None:
        fire.wait_busy(24)
        filler, servers = small_disk / "filler", fire.postgres_pids()[1:]
        fire.fill_disk(filler, wal=turn % 2 == 1)
        began = fire.hit([], pause_s=12.0, struck="disk")
        filler.unlink()
        back = time.time()
        times = [entry["time"] for entry in fire.provider.requests()]
        fire.verdict.notes["sent on"] += any(began + FULL_S < at < back for at in times)
        fire.verdict.notes["silent after it"] += not fire.asks_again(10.0)
        fire.verdict.notes["server died"] += not {*servers} & {*fire.postgres_pids()}

    shoot("disk", under_fire, [SERVER_OF_THE_RUN], hits, fill, most=4, reads=500)
    notes = VERDICTS["disk"].notes
    assert (notes["sent on"], notes["silent after it"], notes["server died"]) == (0, 0, hits // 2)
    assert_promises("disk", hits)
