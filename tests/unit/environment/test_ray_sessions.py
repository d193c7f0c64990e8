"""What Ray leaves behind is ended and removed; what only looks at it is not."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from helix_ray.environment import ray_sessions
from helix_ray.environment.ray_sessions import end_processes, prune, sessions

LIVE = "import sys; sys.stdin.read()"


@pytest.mark.parametrize("temporary", ["/tmp", "/scratch/slurm_jobdir/1234567/node0001", "/tmp/twenty-two-bytes-1"])
def test_the_longest_socket_of_ray_fits(temporary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    monkeypatch.setattr(os, "access", lambda *_: True)
    folder = ray_sessions.ray_folder(tmp_path / ("h" * 200))
    assert len(os.fsencode(folder / ray_sessions.LONGEST_SOCKET)) <= 107
    assert folder.name == "ray"


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = tmp_path / "session_2026-01-01_00-00-00_000001_77"
    (folder / "logs").mkdir(parents=True)
    return folder


@pytest.fixture
def started(session: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    log = session / "logs" / "agent.out"
    with ExitStack() as stack:

        def start(*arguments: str, into: Path) -> subprocess.Popen[bytes]:
            out = stack.enter_context(into.open("ab"))
            process = subprocess.Popen([sys.executable, "-c", LIVE, *arguments], stdin=subprocess.PIPE, stdout=out)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield {
            "writes its log": start(into=log),
            "was given the folder": start(f"--session-dir={session}", into=Path("/dev/null")),
            "of another session": start(into=session.parent / "session_2026-01-01_00-00-00_000001_777"),
            "has attached, as the page does": start(into=session / "logs" / "python-core-driver-02000000ffff_5170.log"),
            "reads a log": start(str(log), into=Path("/dev/null")),
        }


def test_the_sessions_processes_are_ended_and_no_others(session: Path, started: dict[str, subprocess.Popen[bytes]]) -> None:
    end_processes([session], grace_s=0.0)
    running = {name for name, process in started.items() if process.poll() is None}
    assert running == {"of another session", "has attached, as the page does", "reads a log"}
    assert end_processes([session], grace_s=60.0) == 0


def test_the_newest_sessions_are_kept_as_far_as_they_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_sessions, "KEPT_BYTES", 100)
    for second in range(4):
        folder = tmp_path / f"session_2026-01-01_00-00-0{second}_000000_1"
        folder.mkdir()
        (folder / "large").write_bytes(bytes(90))
        (folder / "small").write_bytes(bytes(20 + second))
    (tmp_path / "session_latest").symlink_to(folder)
    prune(sessions(tmp_path))
    left = sessions(tmp_path)
    assert [path.name[-10:] for path in left] == ["2_000000_1", "3_000000_1"]
    assert sorted(path.name for folder in left for path in folder.iterdir()) == ["small", "small"]
    prune(left, keep=0)
    assert sessions(tmp_path) == []
