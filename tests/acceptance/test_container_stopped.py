"""What `docker stop` does to a container: its init passes SIGTERM to the command, and everything ends with that command."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import psutil
import psycopg
import pytest
from playwright.sync_api import Browser, expect

from fix_page import ROOT, SLOW, button, free_port, says, unlock
from fix_run import helix

PAGE = str(ROOT / "deploy/helix_page.py")
TOKEN = "token-of-the-test"
SHELL_HELIX = f'#!/bin/sh\nexec {sys.executable} -c "from helix_ray.cli import main; main()" "$@"\n'
PAGE_STAND_IN = """#!/bin/sh
trap 'echo page ended >> "$HELIX_HOME/log"; exit 0' TERM
echo "page $*" >> "$HELIX_HOME/log"
while [ ! -e "$HELIX_HOME/end-page" ]; do sleep 0.05; done
exit 3
"""
RUN_STAND_IN = """
import os, signal, sys, time
log, asked = open(os.environ["HELIX_HOME"] + "/log", "a", buffering=1), []
signal.signal(signal.SIGTERM, lambda *_: asked.append(print("run asked", file=log)))
print("run", file=log)
while len(asked) < 2:
    time.sleep(0.02)
print("run ended", file=log)
"""
INIT = """
import os, signal, sys
child = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
while True:
    pid, status = os.wait()
    if pid == child:
        sys.exit(os.waitstatus_to_exitcode(status))
"""
"""As process 1: what tini does."""


def until(happened: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        Event().wait(0.05)


@contextmanager
def started(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd="/", env={**os.environ, "HELIX_CONTROL_TOKEN": TOKEN, **environment})
    try:
        yield process
    finally:
        for it in [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else ():
            it.kill()
        process.wait()


def rows(home: Path) -> int:
    """Asked through the socket: numbers of processes mean nothing outside their namespace."""
    folder = (home / "postgres/postmaster.pid").read_text().splitlines()[4]
    with psycopg.connect(host=folder, user="postgres", dbname="postgres") as connection:
        found = connection.execute("select count(*) from helix.reads").fetchone()
    assert found is not None
    return int(found[0])


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_every_run_of_the_home_has_ended_before_the_page_and_no_other_run_is_signalled(tmp_path: Path) -> None:
    program(tmp_path / "bin/helix", PAGE_STAND_IN)
    program(tmp_path / "stand_in/helix_ray/run.py", RUN_STAND_IN)
    program(tmp_path / "stand_in/helix_ray/__init__.py", "")
    ours, other = tmp_path / "ours", tmp_path / "other"
    for home in (ours, other):
        home.mkdir()
        (home / "log").touch()
    logs = {home: home / "log" for home in (ours, other)}
    run = (sys.executable, "-m", "helix_ray.run", "--no-progress")
    of_runs = {"PYTHONPATH": str(tmp_path / "stand_in")}
    of_page = {"PYTHONPATH": str(ROOT), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    with (
        started(*run, HELIX_HOME=str(ours), **of_runs) as first,
        started(*run, HELIX_HOME=str(other), **of_runs) as untouched,
        started(sys.executable, PAGE, "--allowed-host", "my.host", HELIX_HOME=str(ours), **of_page) as page,
    ):
        until(lambda: "page monitor" in logs[ours].read_text() and all("run\n" in log.read_text() for log in logs.values()))
        assert "page monitor --address 0.0.0.0 --port 8501 --allowed-host my.host" in logs[ours].read_text()
        page.terminate()
        until(lambda: "run asked" in logs[ours].read_text())
        assert page.poll() is first.poll() is None
        page.terminate()
        assert page.wait(60) == 0
        assert first.wait(60) == 0
        assert logs[ours].read_text().splitlines()[-4:] == ["run asked", "run asked", "run ended", "page ended"]
        assert (untouched.poll(), logs[other].read_text()) == (None, "run\n")


def test_a_page_that_ends_by_itself_ends_the_container_with_its_code(tmp_path: Path) -> None:
    program(tmp_path / "bin/helix", PAGE_STAND_IN)
    (tmp_path / "end-page").touch()
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    with started(sys.executable, PAGE, HELIX_HOME=str(tmp_path), PYTHONPATH=str(ROOT), PATH=path) as page:
        assert page.wait(60) == 3


@pytest.mark.peer
@pytest.mark.timeout(300)
def test_a_run_that_the_page_started_drains_when_process_1_is_told_to_end(passable_home: Path, browser: Browser, tmp_path: Path) -> None:
    program(tmp_path / "bin/helix", SHELL_HELIX)
    port = free_port()
    spaces = ["unshare", *(["--user", "--map-root-user"] if os.geteuid() else []), "--pid", "--fork", "--mount-proc"]
    command = [*spaces, sys.executable, "-c", INIT, sys.executable, PAGE, "--address", "127.0.0.1", "--port", str(port)]
    of_page = {"PYTHONPATH": str(ROOT), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    with started(*command, HELIX_HOME=str(passable_home), **of_page) as outside:

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens)
        page = browser.new_page()
        page.set_default_timeout(SLOW)
        page.goto(f"http://127.0.0.1:{port}/start")
        unlock(page, TOKEN)
        button(page, "Start")
        expect(page.get_by_text("start endless: process")).to_be_visible(timeout=SLOW)
        page.goto(f"http://127.0.0.1:{port}/")
        says(page, "RUNNING", 2 * SLOW)
        until(lambda: rows(passable_home) > 0)
        (init,) = psutil.Process(outside.pid).children()
        init.send_signal(signal.SIGTERM)
        assert outside.wait(60) == 0
    (report,) = (json.loads(path.read_text()) for path in (passable_home / "reports").glob("*.json"))
    stored = json.loads(helix(passable_home, "runs", "--json").stdout)  # one a line
    assert (report["status"], stored["status"]) == ("stopped", "stopped")
    assert report["reads_stored"] > 0
    assert [report[name] for name in ("lost", "duplicates", "reads_repaid", "possibly_billed")] == [0, 0, 0, 0]
