"""The process that is in charge of a run, watched by another of this machine."""

from __future__ import annotations

import os
import select
from typing import NamedTuple

import psutil


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
