"""Notifications over real HTTP: what is sent, how often, and that a server's misbehaviour costs the run nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from helix_ray.metrics.snapshot import MetricsSnapshot, Money, SinkView, ThrottleView, Totals
from helix_ray.results.report import build_report
from helix_ray.session import notify
from helix_ray.session.notify import Notifier
from support.fault_server import Exchange, FaultServer
from support.report_values import admission, session, stored

SECRET = "canary-in-the-path"
RUN = {"run_id": "r1", "name": "night", "simulated": False}
CALM = MetricsSnapshot(as_of=0.0, state="RUNNING", totals=Totals(stored=7, http_429=2), money=Money(spent_usd=0.5))
PARKED = replace(CALM, state="PARKED", throttle=ThrottleView(parked="RPD"))


async def taken(exchange: Exchange) -> None:
    exchange.send(200, b"ok")


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(taken) as running:
        yield running


class Told:
    """A notifier with a clock of its own."""

    def __init__(self, server: FaultServer) -> None:
        self.now = 1000.0
        self.notifier = Notifier(f"{server.url}/{SECRET}?token={SECRET}", RUN, lambda: self.now)
        self._server = server

    async def look(self, *snapshots: MetricsSnapshot) -> list[str]:
        """The kinds of all messages so far."""
        for snapshot in snapshots:
            self.notifier.look(snapshot)
        await asyncio.to_thread(self.notifier.wait)
        return [exchange.json()["event"] for exchange in self._server.exchanges]


async def test_the_end_of_a_run_is_told_with_its_figures(server: FaultServer) -> None:
    report = build_report(session(run_id="r1", reason="every read has its row"), admission(), stored())
    told = Told(server)
    told.notifier.ended(report)
    await told.look()
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.path) == ("POST", f"/{SECRET}?token={SECRET}")
    body = exchange.json()
    assert body.pop("figures") == {key: report[key] for key in notify.FIGURES}  # type: ignore[literal-required]
    assert body == {"event": "run_ended", **RUN, "status": "complete", "reason": "every read has its row"}


async def test_an_alert_is_told_when_it_begins_and_once_a_minute_at_most(server: FaultServer) -> None:
    told = Told(server)
    assert await told.look(CALM, PARKED, PARKED) == ["parked"]
    assert server.exchanges[0].json()["figures"] == {"reads_stored": 7, "dead_letters": 0, "http_429": 2, "cost_usd": 0.5}
    told.now += 59.9
    assert await told.look(CALM, PARKED) == ["parked"]
    told.now += 0.1
    assert await told.look(PARKED) == ["parked", "parked"], "it has come back, and lasts"
    told.now += 60
    assert await told.look(PARKED) == ["parked", "parked"], "it was told"
    both = replace(CALM, state="DEGRADED", money=Money(spent_usd=0.9, max_cost_usd=1.0), sink=SinkView(outage_s=4))
    assert sorted((await told.look(both))[2:]) == ["budget_nearly_used_up", "outage"]
    assert (await told.look(replace(CALM, state="DEGRADED")))[4:] == ["degraded"]
    assert (await told.look(replace(CALM, throttle=ThrottleView(breaker="open"))))[5:] == [], "an outage was told of just now"


@pytest.mark.parametrize("status", [500, 302])
async def test_a_refusal_is_logged_without_the_address(status: int, server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.send(status, b"no", {"location": f"{server.url}/elsewhere"})

    server.behaviour = refuse
    with caplog.at_level(logging.WARNING):
        assert await Told(server).look(PARKED) == ["parked"], "a redirect is not followed"
    assert [record.__dict__["facts"]["what"] for record in caplog.records] == [f"the notification parked was not taken: HTTP {status}"]
    assert SECRET not in caplog.text


async def test_a_server_that_hangs_holds_nothing_up(
    server: FaultServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    server.behaviour = hang
    monkeypatch.setattr(notify, "TIMEOUT_S", 0.5)
    told = Told(server)
    with caplog.at_level(logging.WARNING):
        told.notifier.look(PARKED)
        told.now += 60
        told.notifier.look(CALM)
        told.notifier.look(PARKED)  # the first is still on its way
        await told.look()
        assert await told.look() == ["parked"]
    whats = [record.__dict__["facts"]["what"] for record in caplog.records]
    assert whats[0] == "the notification parked is not sent: the one before it is still on its way"
    assert [what for what in whats if what.endswith("not taken: ReadTimeout")]


async def test_no_server_and_no_address_are_no_errors(caplog: pytest.LogCaptureFixture) -> None:
    async with FaultServer(taken) as gone:
        told = Told(gone)
    with caplog.at_level(logging.WARNING):
        await told.look(PARKED)
    assert "ConnectError" in str(caplog.records[0].__dict__["facts"])
    quiet = Notifier(None, RUN)
    quiet.look(PARKED)
    assert quiet._sending == {}
