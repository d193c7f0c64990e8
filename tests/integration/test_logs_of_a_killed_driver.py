"""A driver that is killed cannot say so; its file tells it all the same."""

import signal
import subprocess
import sys
from pathlib import Path

from helix_ray.environment.logs import RunLog, last_driver

RUN = "00000000-0000-4000-8000-000000000001"
DRIVER = """
import sys, pathlib
from helix_ray.environment.logs import Event, RunLog, driver_log, event_logger
with driver_log(RunLog(pathlib.Path(sys.argv[1]), sys.argv[2])):
    event_logger("helix_ray.pipeline").info(Event.SESSION_STARTED)
    print("started", flush=True)
    sys.stdin.read()
"""


def test_a_killed_driver_is_known_by_its_last_line_once_it_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path), RUN]
    folder = RunLog(tmp_path, RUN).folder
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "started\n"
        assert last_driver(folder) is None
        driver.send_signal(signal.SIGKILL)
    last = last_driver(folder)
    assert last is not None
    assert (last["event"], last["incarnation"].split("-")[0]) == ("session_started", str(driver.pid))
