#!/usr/bin/env python3
"""The container's default command: the live page on every address of the container, which is as far as the published port goes.

Its controls are unlocked by HELIX_CONTROL_TOKEN; without one, by a code of this start, printed here: `docker logs`. Options of
`helix monitor` may follow, for instance: docker run … helix-throttle helix-page --allowed-host my.host

When the container is stopped, its init sends SIGTERM to this process and to no other, and ends everything once this process has ended. So
the signal is passed on to every run of this HELIX_HOME, whoever started it: the page or `docker exec`. Each run stores what is in flight.
A second signal ends the runs within 5 seconds.
"""

from __future__ import annotations

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
from helix_ray.environment.secrets import HELIX_CONTROL_TOKEN
from helix_ray.errors import HelixError
from helix_ray.storage.embedded import EmbeddedServer

LOOK_S = 0.1


def main() -> int:
    asked: list[int] = []  # one entry for each signal that asked this process to end
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    environment = dict(os.environ)
    try:
        token = control_token()
    except HelixError as error:
        print(f"helix-page: {error}", file=sys.stderr)
        return error.exit_code
    if token is None:
        environment[HELIX_CONTROL_TOKEN] = token = secrets.token_urlsafe(9)
        print(f"{HELIX_CONTROL_TOKEN} is not set. Control code until this container stops: {token}", flush=True)
    monitor = ["helix", "monitor", "--address", "0.0.0.0", "--port", "8501", *sys.argv[1:]]  # noqa: S104  (of a container)
    page = subprocess.Popen(monitor, env=environment, start_new_session=True)  # noqa: S603  (Ctrl-C reaches it through us)
    while page.poll() is None and not asked:
        time.sleep(LOOK_S)
    if not asked:
        return page.returncode
    home = helix_home()
    end_runs(home, asked)  # the page shows them until they have ended
    page.terminate()
    page.wait()
    end_runs(home, asked)  # one that was started on the page meanwhile
    EmbeddedServer(home).halt_unless_held()
    return 0


def end_runs(home: Path, asked: list[int]) -> None:
    """Returns when no run of the home is left. Each is sent SIGTERM as often as this process was asked to end."""
    sent: Counter[int] = Counter()
    while runs := runs_of(home):
        for run in runs:
            if sent[run.pid] < len(asked):
                sent[run.pid] += 1
                with suppress(psutil.NoSuchProcess):
                    print(f"run {run.pid} is asked to store what is in flight and to end", flush=True)
                    run.terminate()
        time.sleep(LOOK_S)


def runs_of(home: Path) -> list[psutil.Process]:
    """Also such as are only starting and hold no lock yet. Another user's processes cannot be looked at and are left out."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            is_run = words[1:3] == ["-m", "helix_ray.run"] or (len(words) > 2 and Path(words[1]).name == "helix" and words[2] == "run")
            if is_run and process.environ().get("HELIX_HOME") == str(home):
                found.append(process)
    return found


if __name__ == "__main__":
    sys.exit(main())
