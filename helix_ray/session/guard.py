"""What a driver leaves behind when it is killed, cleared away by a process of its own that outlives it.

The guard holds the reading end of a pipe whose other end only the driver has, so it learns of the driver's death from the kernel,
however the driver dies. Until then it is a bare interpreter that has imported nothing of ours. A driver that has cleared up by itself
dismisses it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from helix_ray.environment.ray_sessions import end_processes, prune, ray_folder, sessions
from helix_ray.environment.variables import for_python
from helix_ray.errors import HelixError
from helix_ray.storage.embedded import EmbeddedServer

GRACE_S = 3.0
"""For the parts of a run to store what they have received: Ray ends its actors about two seconds after the driver's death. A server
that was just being started is up after it, too."""

_WAIT = """
import os, signal, sys
if os.fork():
    os._exit(0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if not sys.stdin.buffer.read():
    from helix_ray.session.guard import clear_up
    clear_up(sys.argv[1], sys.argv[2])
"""
"""It leaves the driver's tree and terminal: what ends those must not end it."""


class Guard:
    """Watches over this process from its making. It is dismissed on leaving, unless something foreign was raised: what has been
    started may then still be there, and the guard waits for the end of the process.
    """

    def __init__(self, home: Path) -> None:
        """StartError where there is no folder for Ray: before anything is started."""
        ray_folder(home)
        reading, self._writing = os.pipe()  # neither is inherited, but the one that is named
        subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-c", _WAIT, str(home), str(os.getpid())],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=for_python(),
            start_new_session=True,
            check=False,
        )
        os.close(reading)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, HelixError):
            with suppress(BrokenPipeError):  # it was killed
                os.write(self._writing, b"dismissed")
            os.close(self._writing)


def clear_up(home: str, driver: str) -> None:
    """After the driver's death: ends its session of Ray, and the home's PostgreSQL unless another process holds it."""
    over = sessions(ray_folder(Path(home)))  # looked up at once: a resumption may begin its own soon
    until = time.monotonic() + GRACE_S
    end_processes([session for session in over if session.name.endswith(f"_{driver}")], GRACE_S)
    prune(over)
    time.sleep(max(0.0, until - time.monotonic()))
    EmbeddedServer(Path(home)).halt_unless_held()
