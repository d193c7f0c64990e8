"""The lock of a HELIX_HOME. Not filelock: it makes the same call of flock, and is here only because Ray depends on it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from helix_ray.environment.home import make_home, open_lock
from helix_ray.environment.run_file import RunFile
from helix_ray.errors import HomeBusyError

LOCK_FILE = "lock"


class HomeLock:
    """Allows one live run per home. A context manager; the kernel frees the lock when the process ends, in whatever way."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises HomeBusyError, with the run and its process, when the lock is held, StartError when it cannot be."""
        make_home(self._home)
        # close-on-exec by default: a child that outlives the run must not hold its lock
        descriptor = open_lock(self._home / LOCK_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            live = RunFile.read(self._home)
            which = f"run {live.run_id} (process {live.pid})" if live is not None else "another run"
            raise HomeBusyError(
                f"{which} is live in {self._home}; wait for it, end it with `helix control drain`, or set HELIX_HOME to another folder"
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Idempotent, also before `acquire`."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> HomeLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
