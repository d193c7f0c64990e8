"""The sessions of a home's own Ray: their folders, and the processes that Ray may leave behind when its driver is killed.

Such a process is known by its logs, which it writes into the session's folder, or before that by the folder in its arguments.
Ray's agents keep neither arguments nor parent, and have been seen to stay for ever.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from helix_ray.environment.home import temporary_folder
from helix_ray.environment.processes import PROC, command_line, send_signal, written_files
from helix_ray.errors import StartError

KEPT_SESSIONS = 2
KEPT_BYTES = 4_500_000
"""Of all kept sessions together. Ray itself never deletes any."""

CLIENT_LOG = "python-core-driver-"
"""Begins the name of the log that a process writes which has attached to a session: the live page, a second terminal. It is not Ray's."""

LOOK_INTERVAL_S = 0.1
KILL_ROUNDS = 3
"""One of Ray's processes may have started another while it was looked for."""


SOCKET_PATH_BYTES, LONGEST_SOCKET = 107, "session_2026-12-31_23-59-59_999999_4194304/sockets/plasma_store"
"""The kernel's limit, and what is below Ray's folder; the last number is the driver's."""


def ray_folder(home: Path) -> Path:
    """A short path of this home's own. It need not exist. StartError where there is none that is short enough."""
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:10]
    own = Path(f"helix-{os.getuid()}-{digest}") / "ray"
    return temporary_folder(SOCKET_PATH_BYTES - len(f"/{own}/{LONGEST_SOCKET}")) / own


def make_ray_folder(home: Path) -> Path:
    """The folder, made if need be, in one that nobody else may enter."""
    folder = ray_folder(home)
    private = folder.parent
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise StartError(f"{private} must be a folder of yours that nobody else may enter; remove it, or set TMPDIR to another folder")
    folder.mkdir(exist_ok=True)  # Ray opens its own folder to everybody
    return folder


def sessions(folder: Path) -> list[Path]:
    """Folders of sessions, oldest first. The name ends with the number of the driver's process."""
    return sorted((path for path in folder.glob("session_20*") if not path.is_symlink()), key=lambda path: path.name)


def end_processes(of: Sequence[Path], grace_s: float) -> int:
    """End the processes of these sessions, whose driver has ended: by themselves within ``grace_s`` seconds, or killed.

    The number of those killed. What they received they may still store in that time.
    """
    deadline = time.monotonic() + grace_s
    while _members(of) and time.monotonic() < deadline:
        time.sleep(LOOK_INTERVAL_S)
    killed = 0
    for _ in range(KILL_ROUNDS):
        for pid in _members(of):
            killed += send_signal(pid, signal.SIGKILL, lambda found: _is_of(found, of), wait_s=1.0)
    return killed


def prune(over: Sequence[Path], keep: int = KEPT_SESSIONS) -> None:
    """Of these sessions, which are over: remove all but the last ``keep``, and of those the largest files above `KEPT_BYTES`."""
    kept = over[len(over) - keep :] if keep < len(over) else over
    for old in over[: len(over) - len(kept)]:
        with suppress(OSError):
            shutil.rmtree(old)
    files = sorted((path.lstat().st_size, path) for session in kept for path in session.rglob("*") if path.is_file())
    while files and sum(size for size, _ in files) > KEPT_BYTES:
        with suppress(OSError):
            files.pop()[1].unlink()


def _members(of: Sequence[Path]) -> list[int]:
    me, mine = os.getpid(), os.geteuid()
    found = []
    for entry in PROC.iterdir() if of else ():
        with suppress(OSError):  # it has ended
            if entry.name.isdecimal() and int(entry.name) != me and entry.stat().st_uid == mine and _is_of(int(entry.name), of):
                found.append(int(entry.name))
    return found


def _is_of(pid: int, of: Sequence[Path]) -> bool:
    written = written_files(pid)
    if any(Path(path).name.startswith(CLIENT_LOG) for path in written):
        return False
    arguments = (word.partition("=")[2] for word in command_line(pid))
    return any(path.startswith(f"{session}/") or path == str(session) for path in [*written, *arguments] for session in of)
