#!/usr/bin/env python3
"""The container's default command: the live page on every address of the container, which is as far as the published port goes.

Its controls are unlocked by HELIX_CONTROL_TOKEN; without one, by a code of this start, printed here: `docker logs`. Options of
`helix monitor` may follow, for instance: docker run … helix-throttle helix-page --allowed-host my.host

A container that is stopped sends SIGTERM to this process alone, and is over once it has ended. So the signal is passed on to every run of
this HELIX_HOME, whether the page or `docker exec` started it. Each stores what is in flight; a second signal ends them within 5 seconds.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from helix_ray.client import control_token, helix_home
from helix_ray.errors import HelixError
from helix_ray.storage.embedded import EmbeddedServer

LOOK_S = 0.1


def main() -> int:
    asked: list[int] = []  # one entry for each signal that asked this process to end
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    with suppress(HelixError):  # `helix monitor` says what is wrong
        if control_token() is None:
            os.environ["HELIX_CONTROL_TOKEN"] = code = secrets.token_urlsafe(9)
            print(f"HELIX_CONTROL_TOKEN is not set. Control code until this container stops: {code}", flush=True)
    monitor = ["helix", "monitor", "--address", "0.0.0.0", "--port", "8501", *sys.argv[1:]]  # noqa: S104  (of a container)
    page = subprocess.Popen(monitor, start_new_session=True)  # noqa: S603  (Ctrl-C reaches it through us)
    while page.poll() is None and not asked:
        time.sleep(LOOK_S)
    if not asked:
        return page.returncode
    end_runs(asked)  # the page shows them until they have ended
    page.terminate()
    page.wait()
    end_runs(asked)  # one that was started on the page meanwhile
    EmbeddedServer(helix_home()).halt_unless_held()
    return 0


def end_runs(asked: list[int]) -> None:
    """Returns when no run is left. Each is sent SIGTERM as often as this process was asked to end."""
    sent: Counter[int] = Counter()
    while runs := live_runs():
        for run in runs:
            if sent[run.pid] < len(asked):
                sent[run.pid] += 1
                with suppress(psutil.NoSuchProcess):
                    print(f"run {run.pid} is asked to store what is in flight and to end", flush=True)
                    run.terminate()
        time.sleep(LOOK_S)


def live_runs() -> list[psutil.Process]:
    """Of this HELIX_HOME, also such as are only starting and hold no lock yet; another user's cannot be looked at and are left out."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            is_run = words[1:3] == ["-m", "helix_ray.run"] or (len(words) > 2 and (Path(words[1]).name, words[2]) == ("helix", "run"))
            if is_run and process.environ().get("HELIX_HOME") == str(helix_home()):
                found.append(process)
    return found


if __name__ == "__main__":
    sys.exit(main())
