"""What only shows a run cannot end it, nor skip its drain."""

import errno
import logging

import pytest

from helix_ray.records import RunStatus
from helix_ray.session.outcome import Listener
from helix_ray.supervision.endings import Ending


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), SystemExit(1), KeyError("a defect")])
def test_a_listener_that_fails_is_logged(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    shown: list[Ending] = []

    def ending(value: Ending) -> None:
        shown.append(value)
        raise error

    listener = Listener(ending=ending).unfailing()
    with caplog.at_level(logging.ERROR):
        listener.ending(Ending(RunStatus.STOPPED, "stopped by signal"))
        listener.held()
    assert (len(shown), len(caplog.records)) == (1, 1)
