"""Whether the process that is in charge still lives."""

import os
import subprocess
import sys

import psutil
import pytest

from helix_ray.environment.processes import Driver, DriverWatch


def no_such_call(pid: int) -> int:
    raise OSError


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_a_driver_is_noticed_dead_before_anybody_has_waited_for_it(has_pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_pidfd:
        monkeypatch.setattr(os, "pidfd_open", no_such_call)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = DriverWatch(Driver(child.pid, psutil.Process(child.pid).create_time()))
    assert watch.alive
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert not watch.alive
    child.communicate()
    assert not watch.alive
    watch.close()
    watch.close()


def test_a_later_process_with_its_number_is_not_the_driver() -> None:
    me = Driver.this_process()
    assert DriverWatch(me).alive
    assert not DriverWatch(me._replace(started_at=me.started_at - 60)).alive
