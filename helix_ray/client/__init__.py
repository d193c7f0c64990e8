"""What any other process uses: find the run, attach, look, command, ask the database, start a run.

client = attach(helix_home())          # AttachError: there is no live run
print(client.snapshot().state)
client.send(command(Action.PAUSE, actor="cli:alice"))
client.close()
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Concatenate

from helix_ray.actors.api import CONTROL, METRICS, A, Address, ControlApi, MetricsApi, P, R
from helix_ray.client.attach import Link
from helix_ray.client.launch import CONTROL_CODE, Launch, launch
from helix_ray.client.past_run import past_snapshot
from helix_ray.environment.home import helix_home
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import load_secrets
from helix_ray.errors import AttachError
from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot
from helix_ray.records import Ack, Action, Command

__all__ = [
    "CONTROL_CODE",
    "HelixClient",
    "Launch",
    "attach",
    "command",
    "control_token",
    "helix_home",
    "take_control_code",
]

POLL_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 15.0  # above what the control actor spends on a database that does not answer


class HelixClient:
    """Attaches when first asked, lets go at the first call that fails, attaches anew at the next. Safe from several threads."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or helix_home()
        self._link: Link | None = None
        self._linked: RunFile | None = None
        self._launch: Launch | None = None

    def connect(self) -> RunFile:
        """AttachError when there is no live run in this home."""
        run_file = RunFile.read(self.home)
        if run_file is None or not run_file.is_live():
            self.close()
            hint = "start one with `helix run` or on the page"
            gone = f"run {run_file.run_id} has ended without cleaning up; resume it or {hint}" if run_file else hint
            raise AttachError(f"no live run in {self.home}: {gone}")
        if run_file != self._linked:
            self.close()
            self._link, self._linked = Link(run_file), run_file
        assert self._link is not None
        self._link.connect()
        return run_file

    def is_live(self) -> bool:
        """Whether this home's run still has its driver."""
        run_file = RunFile.read(self.home)
        return run_file is not None and run_file.is_live()

    def snapshot(self, timeout_s: float = POLL_TIMEOUT_S) -> MetricsSnapshot:
        """The run now. AttachError when there is none, or metrics does not answer in time."""
        return self._call(timeout_s, METRICS, MetricsApi.snapshot)

    def history(self, since: float = 0.0, timeout_s: float = POLL_TIMEOUT_S) -> list[HistoryPoint]:
        """One point a second after ``since`` (Unix seconds), at most the last fifteen minutes, oldest first."""
        return self._call(timeout_s, METRICS, MetricsApi.history, since)

    def send(self, command: Command, timeout_s: float = COMMAND_TIMEOUT_S) -> Ack:
        """Sends a command; sending the same one again is safe. AttachError: nobody knows whether it arrived, so send it again."""
        return self._call(timeout_s, CONTROL, ControlApi.send, command)

    def past(self) -> MetricsSnapshot | None:
        """The last run of this home, from the database; None when there is none. May start the embedded server: seconds."""
        run_file = RunFile.read_last(self.home)
        return past_snapshot(self.home, run_file) if run_file is not None else None

    def start_run(self, config_path: Path, overrides: Sequence[str] = ()) -> int:
        """Starts a run as a process of its own and returns its pid. How it goes shows in `snapshot` and `launched`."""
        self._launch = launch(self.home, config_path, overrides)
        return self._launch.pid

    @property
    def launched(self) -> Launch | None:
        """The run that this client started last."""
        return self._launch

    def close(self) -> None:
        """Leaves the cluster. Safe twice; the client may be used again."""
        link, self._link, self._linked = self._link, None, None
        if link is not None:
            link.leave()

    def _call(
        self, timeout_s: float, to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        self.connect()
        assert self._link is not None
        return self._link.call(timeout_s, to, method, *args, **kwargs)


def attach(home: Path | None = None) -> HelixClient:
    """A client of the live run. AttachError when there is none."""
    client = HelixClient(home)
    client.connect()
    return client


def command(
    action: Action, value: float | None = None, seconds: float | None = None, actor: str = "unknown", reason: str | None = None
) -> Command:
    """A command with an identity of its own; keep it to send it again."""
    return Command(str(uuid.uuid4()), action, value, seconds, actor, reason)


def control_token() -> str | None:
    """What a viewer must know to give commands on the page: HELIX_CONTROL_TOKEN; None when it is not set."""
    secret = load_secrets(os.environ, Path(".env")).control_token
    return secret.reveal() if secret is not None else None


def take_control_code() -> str | None:
    """The code that `helix monitor` printed, which works once; taken out of the environment, so that nobody finds it again."""
    return os.environ.pop(CONTROL_CODE, None)
