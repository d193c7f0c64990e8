"""The server process of a data folder: known by its command and its folder, since a number in a file outlives its process.

A machine or container that restarts gives the number in ``postmaster.pid`` to another process. ``pg_ctl`` would take that one for
the server, and signal it.
"""

from __future__ import annotations

import signal
from pathlib import Path

from helix_ray.environment.processes import command_line, send_signal, working_folder

PID_FILE = "postmaster.pid"
SOCKET_NAME = ".s.PGSQL.5432"


def find(data: Path) -> int | None:
    """The number of the process that serves this data folder, None when there is none."""
    try:
        pid = int((data / PID_FILE).read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if serves(pid, data) else None


def serves(pid: int, data: Path) -> bool:
    """Whether the process is the server of this data folder. One of its own processes, a backend, is not."""
    command, folder = command_line(pid), working_folder(pid)
    if folder is None or not command or Path(command[0]).name != "postgres":
        return False
    try:
        return folder.samefile(data)
    except OSError:
        return False


def stop(data: Path, number: signal.Signals, timeout_s: float) -> bool:
    """Send the server, and nothing else, this signal; whether it is gone within ``timeout_s`` seconds."""
    pid = find(data)
    return pid is None or send_signal(pid, number, lambda found: serves(found, data), timeout_s)


def forget_dead(data: Path, sockets: Path) -> None:
    """Remove the marks of a server that is gone. The next one would take another process with the old number for it, and not start.

    Call it only while no other process can start one.
    """
    if find(data) is None:
        for mark in (data / PID_FILE, sockets / SOCKET_NAME, sockets / f"{SOCKET_NAME}.lock"):
            mark.unlink(missing_ok=True)
