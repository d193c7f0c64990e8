"""Starts a run as a process of its own, which outlives whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helix_ray.client.attach import RECONNECT
from helix_ray.environment.home import make_home
from helix_ray.environment.secrets import HELIX_CONTROL_TOKEN, Secrets, load_secrets

TAIL_LINES = 12
CONTROL_CODE = "HELIX_CONTROL_CODE"
"""How `helix monitor` tells its page the code that works once."""

_OF_THIS_PROCESS_ONLY = (RECONNECT, "RAY_ADDRESS", "RAY_AUTH_TOKEN", HELIX_CONTROL_TOKEN, CONTROL_CODE)
"""What the page's process has in its environment and a run must not inherit: with the page's patience, a run's workers would
wait for days for a control service that is gone; and a run needs no control token."""


@dataclass(slots=True)
class Launch:
    """A run that was started from here. Keep it: its process is our child and is reaped by `poll`."""

    process: subprocess.Popen[bytes]
    log: Path
    secrets: Secrets = field(default_factory=Secrets)  # never shown

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of what it printed; outside text, to be shown as text only, and without any secret."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            text = self.secrets.hide(file.read().decode("utf-8", "replace"))
        return "\n".join(text.splitlines()[-lines:])


def launch(home: Path, config_path: Path, overrides: Sequence[str] = ()) -> Launch:
    """``python -m helix_ray.run`` in a new session, printing into ``HELIX_HOME/logs/``. StartError when it cannot be started."""
    secrets = load_secrets(os.environ, Path(".env"))
    make_home(home)
    logs = home / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    log = logs / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6:06d}.log"
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_PROCESS_ONLY}
    environment["HELIX_HOME"] = str(home)
    settings = [argument for override in overrides for argument in ("--set", override)]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and module; the arguments are a list, no shell)
            [sys.executable, "-m", "helix_ray.run", str(config_path), *settings, "--no-progress"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the page must not reach the run
            env=environment,
        )
    return Launch(process, log, secrets)
