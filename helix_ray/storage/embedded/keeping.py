"""The embedded server comes back by itself for as long as a run needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import DatabaseUnavailableError
from helix_ray.storage.embedded.server import held

LOOK_INTERVAL_S = 0.5
LONGEST_PAUSE_S = 4.0
"""Between two attempts to start it, so that it is back soon after what kept it from starting (a full disk) is mended."""

log = event_logger(__name__)


@contextmanager
def kept_running(home: Path) -> Iterator[None]:
    """Inside, the server that `embedded_url` started for this process is started again when it is down. Its address stays.

    A thread of its own does it: a recovery may take minutes, and the driver must stay awake.
    """
    server, ended = held(home), threading.Event()

    def keep() -> None:
        pause = LOOK_INTERVAL_S
        while not ended.wait(pause):
            if server.is_running():
                pause = LOOK_INTERVAL_S
                continue
            log.warning(Event.ERROR_HANDLED, what="the embedded PostgreSQL has died and is started again")
            try:
                server.join()
            except DatabaseUnavailableError as error:
                pause = min(2 * pause, LONGEST_PAUSE_S)
                log.warning(Event.ERROR_HANDLED, what="the embedded PostgreSQL did not come back", again_in_s=pause, exc_info=error)

    thread = threading.Thread(target=keep, name="embedded-postgresql", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
