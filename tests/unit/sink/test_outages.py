"""An outage is told once when it begins and once when it ends, however many calls meet it; one that lasts too long ends the run."""

import asyncio
import logging
from decimal import Decimal

import pytest

from helix_ray.environment.logs import Event
from helix_ray.errors import DatabaseLostError
from helix_ray.sink.outages import Outages
from support.manual_clock import ManualClock, turns
from support.sink_bench import bench


def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages(120.0, ManualClock(), "seed", "requests")
    with caplog.at_level(logging.INFO, "helix_ray"):
        outages.answered()
        for _ in range(3):
            outages.failed(DatabaseLostError("gone"))
        outages.answered()
        outages.answered()
    began, ended = caplog.records
    assert (began.msg, ended.msg) == (Event.OUTAGE_BEGAN, Event.OUTAGE_ENDED)
    assert began.__dict__["facts"] == {"connection": "requests"}
    assert began.exc_info is not None


@pytest.mark.parametrize("asked", ["intend", "authorise"])
async def test_a_database_is_given_up_also_while_no_row_is_under_way(asked: str) -> None:
    async with bench(outage_s=10.0) as b:
        b.ledger.away = [DatabaseLostError("gone")] * 1000
        task: asyncio.Task[object] = b.intend("a") if asked == "intend" else asyncio.create_task(b.engine.authorise(Decimal(1)))
        for second in range(20):
            await turns()
            assert task.done() or b.engine.stats().outage_s == second
            await b.clock.advance(1.0)
        with pytest.raises(DatabaseLostError, match="did not come back within 10 s: gone"):
            await task
        assert "did not come back" in (b.engine.stats().fatal_error or "")
