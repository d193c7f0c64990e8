"""Whatever ends a run, nothing of it is left: no process, at most two folders of Ray's sessions."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fix_run import ONE_OF_EACH, SECRETS, Run, StartRun, helix
from helix_ray.environment.ray_sessions import ray_folder, sessions
from helix_ray.storage.embedded import postmaster

pytestmark = pytest.mark.peer

GONE_WITHIN_S = 10.0
SLOW = (*ONE_OF_EACH, "source.count=null", "emulator.requests_per_minute=600", "emulator.latency_scale=0.2", "ray.dashboard=false")


def processes(run: Run) -> list[psutil.Process]:
    """All of the run: its own, and the server."""
    found = [psutil.Process(run.process.pid), *psutil.Process(run.process.pid).children(recursive=True)]
    server = postmaster.find(run.home / "postgres")
    assert server is not None
    return [*found, psutil.Process(server)]


def assert_nothing_left(run: Run, started: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs([process for process in started if process.pid != run.process.pid], timeout=GONE_WITHIN_S)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert postmaster.find(run.home / "postgres") is None
    kept = sessions(ray_folder(run.home))
    assert len(kept) <= 2
    assert sum(path.lstat().st_size for folder in kept for path in folder.rglob("*") if path.is_file()) < 5_000_000


def test_a_killed_driver_leaves_nothing_and_last_goes_on(start_run: StartRun) -> None:
    first = start_run(*SLOW, embedded=True)
    first.wait_for_stored_reads()
    started = processes(first)
    first.process.kill()
    first.process.wait(10)
    assert_nothing_left(first, started)

    second = start_run("source.count=null", args=["--resume", "last"], embedded=True)
    second.wait_for_output("Whatever ends it")
    assert re.findall(r"--resume ([-\w]{36})", second.output) == re.findall(r"--resume ([-\w]{36})", first.output)
    second.wait_for_stored_reads()
    started = processes(second)
    second.process.send_signal(signal.SIGHUP)
    code, report = second.finish()
    assert (code, report["lost"]) == (130, 0), second.output
    assert_nothing_left(second, started)


def test_a_run_resumes_by_itself_after_each_death_of_its_server(start_run: StartRun) -> None:
    run = start_run(*SLOW, embedded=True)
    run.wait_for_stored_reads()
    data = run.home / "postgres"
    for _ in range(3):
        server = postmaster.find(data)
        assert server is not None
        os.kill(server, signal.SIGKILL)
        run.wait_until("a server that is ready", lambda _, was=server: is_ready(data, was), timeout_s=10.0)  # type: ignore[misc]
        run.wait_for_stored_reads(run.stored + 100, timeout_s=40.0)
    run.interrupt()
    code, report = run.finish()
    assert (code, report["lost"], report["duplicates"]) == (130, 0, 0), run.output


def is_ready(data: Path, besides: int) -> bool:
    return postmaster.find(data) not in (None, besides) and "ready" in (data / postmaster.PID_FILE).read_text()


@pytest.mark.parametrize("said", ["Starting Ray", "session_"])
def test_a_signal_while_ray_starts_ends_all_and_says_so(said: str, start_run: StartRun) -> None:
    run = start_run(*SLOW, embedded=True)
    if said == "session_":
        run.wait_until("a session of Ray", lambda _: bool(sessions(ray_folder(run.home))))
    else:
        run.wait_for_output(said)
    started = processes(run)
    run.terminate()
    code, report = run.finish()
    assert (code, report) == (130, {}), run.output
    assert "Interrupted" in run.output
    assert "Traceback" not in run.output
    assert_nothing_left(run, started)


def test_a_full_disk_under_the_output_costs_no_read(passable_home: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS} | {"HELIX_HOME": str(passable_home)}
    settings = (*ONE_OF_EACH, "source.count=200", "emulator.latency_scale=0", "ray.dashboard=false")
    sets = [part for setting in settings for part in ("--set", setting)]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "helix_ray.run", *sets],
            stdout=full,
            stderr=full,
            env=environment,
            cwd=tmp_path,
            timeout=200,
            check=False,
        )
    assert ended.returncode == 0
    asked = helix(passable_home, "db", "shell", "--", "-XAtc", "select status, reads_stored from helix.run_summary")
    assert asked.stdout.strip() == "complete|200", asked.stderr
    assert len([*(passable_home / "reports").iterdir()]) == 2
