"""Processes of this machine by what they are, never by their number alone: a number that one has left is given to another."""

from __future__ import annotations

import os
import select
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def command_line(pid: int) -> list[str]:
    """The words of its command line. Empty: there is no such process, it is a zombie, or we may not look."""
    try:
        return (PROC / str(pid) / "cmdline").read_text(errors="surrogateescape").split("\0")[:-1]
    except OSError:
        return []


def working_folder(pid: int) -> Path | None:
    """Its working directory, None as for `command_line`."""
    try:
        return (PROC / str(pid) / "cwd").readlink()
    except OSError:
        return None


def written_files(pid: int) -> list[str]:
    """The files that it has open for writing: who only reads a log has no part in it."""
    found = []
    with suppress(OSError):
        for descriptor in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                if descriptor.lstat().st_mode & stat.S_IWUSR:
                    found.append(str(descriptor.readlink()))
    return found


def send_signal(pid: int, number: signal.Signals, is_it: Callable[[int], bool], wait_s: float = 0.0) -> bool:
    """Signal the process if ``is_it`` says that the number is still its; whether it is gone within ``wait_s`` seconds.

    The kernel's handle is opened before the question is asked, and the signal goes to the handle: whoever gets the number in between
    is not reached.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        if not is_it(pid):
            return True
        signal.pidfd_send_signal(handle, number)
        gone = select.poll()
        gone.register(handle, select.POLLIN)
        return bool(gone.poll(1000 * wait_s))
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)
