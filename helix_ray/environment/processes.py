"""Processes of this machine by what they are, never by their number alone: a number that one has left is given to another."""

from __future__ import annotations

import os
import select
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

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


class Driver(NamedTuple):
    """A process, told from a later one with its number."""

    pid: int
    started_at: float  # Unix seconds

    @classmethod
    def this_process(cls) -> Driver:
        return cls(os.getpid(), psutil.Process().create_time())

    def is_alive(self) -> bool:
        """The same process, not a later one with its number, and not a zombie."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started_at) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class DriverWatch:
    """Whether the driver lives, at the price of one system call.

    Not a lock that the driver holds: whoever resumes the run may hold it already.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._descriptor: int | None = None  # of the process: readable once it has ended
        self._ended = select.poll()
        try:
            self._descriptor = os.pidfd_open(driver.pid)
        except OSError:  # it has ended, or this kernel or its sandbox has no such call
            return
        self._ended.register(self._descriptor, select.POLLIN)
        if not driver.is_alive():  # the number belongs to a later process
            self.close()

    @property
    def alive(self) -> bool:
        return self._driver.is_alive() if self._descriptor is None else not self._ended.poll(0)

    def close(self) -> None:
        """Safe twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._ended.unregister(descriptor)
            os.close(descriptor)
