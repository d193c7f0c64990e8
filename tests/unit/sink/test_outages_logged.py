"""An outage is told once when it begins and once when it ends, however many calls meet it."""

import logging

import pytest

from helix_ray.environment.logs import Event
from helix_ray.errors import DatabaseLostError
from helix_ray.sink.outages import Outages
from support.manual_clock import ManualClock


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
