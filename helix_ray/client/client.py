"""The client of a run: attaches, looks, commands, asks the database, and starts runs that outlive their starter."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate

from helix_ray.actors import api
from helix_ray.actors.api import CONTROL, METRICS, A, Address, ControlApi, MetricsApi, P, R
from helix_ray.client.dry_run import DryRun, dry_run
from helix_ray.environment.home import helix_home, make_home
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import HELIX_CONTROL_TOKEN, hide_known, load_secrets
from helix_ray.environment.variables import set_for_ray
from helix_ray.errors import AttachError, HelixError
from helix_ray.records import Ack, Action, Command

if TYPE_CHECKING:
    from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot

RECONNECT_TIMEOUT_S = "1000000"
RECONNECT = "RAY_gcs_rpc_server_reconnect_timeout_s"
POLL_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 15.0  # above what the control actor spends on a database that does not answer
TAIL_LINES = 12
CONTROL_CODE = "HELIX_CONTROL_CODE"  # how `helix monitor` tells its page the code that works once

CLUSTER = "HELIX_CLUSTER"  # HOST:PORT[/NAMESPACE] of Ray: clients look there, and not in a home

_OF_THIS_PROCESS_ONLY = (HELIX_CONTROL_TOKEN, CONTROL_CODE, CLUSTER)
"""What the page's process has in its environment and a run does not need."""


@dataclass(slots=True)
class Launch:
    """A run that was started from here. Keep it: its process is our child and is reaped by `poll`."""

    process: subprocess.Popen[bytes]
    log: Path
    at: float = field(default_factory=time.time)  # Unix seconds

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of what it printed; outside text, to be shown as text only, and without any secret."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            text = hide_known(file.read().decode("utf-8", "replace"))
        return "\n".join(text.splitlines()[-lines:])


def launch(home: Path, config_path: Path, overrides: Sequence[str] = ()) -> Launch:
    """``python -m helix_ray.run`` in a new session, printing into ``HELIX_HOME/logs/``. StartError when it cannot be started."""
    load_secrets(os.environ, Path(".env"))  # before all else: what cannot be a secret is told, and `Launch.tail` shows none
    make_home(home)
    logs = home / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    log = logs / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6:06d}.log"
    settings = [argument for override in overrides for argument in ("--set", override)]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and module; the arguments are a list, no shell)
            [sys.executable, "-m", "helix_ray.run", str(config_path), *settings, "--no-progress"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the page must not reach the run
            env=_environment(home),
        )
    return Launch(process, log)


def _environment(home: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OF_THIS_PROCESS_ONLY} | {"HELIX_HOME": str(home)}


class Link:
    """One connection to the Ray cluster of one run. Calls from several threads are allowed; attaching and leaving is done by one at a time.

    A process that is still attached when the cluster's control service has been gone for a minute is ended by Ray without a Python
    exception. So the timeout is set very high before attaching, and the first call that fails is followed by ``ray.shutdown()``;
    attaching again takes some 50 ms.
    """

    def __init__(self, run_file: RunFile) -> None:
        self.run_file = run_file
        self._lock = threading.Lock()
        self._owner = False  # this link attached the process, and so may detach it
        self._handles: dict[str, Any] = {}

    def connect(self) -> None:
        """AttachError when the cluster does not let us in."""
        with self._lock:
            ray = _import_ray(self.run_file)
            if ray.is_initialized():
                return  # already attached, or this is the driver's own process
            try:
                ray.init(address=self.run_file.ray_address, namespace=self.run_file.namespace, log_to_driver=False, configure_logging=False)
            except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
                if not self.run_file.run_id:
                    raise AttachError(
                        f"the cluster at {self.run_file.ray_address} does not let this process in ({type(error).__name__}): it must be on "
                        "a node of it, and needs its token: RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
                    ) from error
                raise AttachError(
                    f"run {self.run_file.run_id} does not answer at {self.run_file.ray_address} ({type(error).__name__}): it may "
                    f"have just ended; else check that {self.run_file.token_path} is readable by you"
                ) from error
            self._owner = True

    def call(
        self, timeout_s: float, to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """What the actor answers. AttachError, after leaving the cluster, when it does not within ``timeout_s``."""
        self.connect()
        import ray  # noqa: PLC0415  (after connect has set the environment)

        try:
            handle = self._handles.get(to) or ray.get_actor(to, namespace=self.run_file.namespace)
            self._handles[to] = handle
            answer: R = ray.get(api.remote(handle, method, *args, **kwargs), timeout=timeout_s)
        except (ray.exceptions.RayError, ValueError, ConnectionError, RuntimeError) as error:
            self.leave()
            raise AttachError(f"{to} of run {self.run_file.run_id} does not answer ({type(error).__name__})") from error
        return answer

    def finds(self, name: str) -> bool:
        """An actor of this name lives, or is being restarted."""
        self.connect()
        import ray  # noqa: PLC0415

        try:
            ray.get_actor(name, namespace=self.run_file.namespace)
        except (ray.exceptions.RayError, ValueError, ConnectionError, RuntimeError):
            return False
        return True

    @property
    def attached(self) -> bool:
        return self._owner

    def leave(self) -> None:
        """Safe twice. Leaves Ray alone where this link did not start it."""
        with self._lock:
            self._handles.clear()
            if self._owner:
                self._owner = False
                import ray  # noqa: PLC0415

                ray.shutdown()


def _import_ray(run_file: RunFile) -> Any:
    """Ray reads its settings and the token once, when it is imported: so they are set before that, if it is still to come."""
    wanted = {"RAY_AUTH_MODE": "token", RECONNECT: RECONNECT_TIMEOUT_S}
    if run_file.token_path is not None:
        wanted["RAY_AUTH_TOKEN_PATH"] = run_file.token_path
    imported_before = "ray" in sys.modules
    if not imported_before:
        set_for_ray(**wanted)
    import ray  # noqa: PLC0415

    if imported_before and not ray.is_initialized() and any(os.environ.get(name) != value for name, value in wanted.items()):
        set_for_ray(**wanted)
        # Ray was imported under other settings, by another module or for a run of another home. What follows is what Ray itself does
        # when it turns authentication on by default (its authentication_token_setup.py).
        raylet = importlib.import_module("ray._raylet")  # compiled, without type stubs
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
    return ray


class HelixClient:
    """Attaches at the first call, detaches at a call that fails, attaches again at the next. Safe from several threads."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or helix_home()
        self.cluster = os.environ.get(CLUSTER)
        self._link: Link | None = None
        self.launched: Launch | None = None  # the run that this client started last

    def connect(self) -> Link:
        """The connection to the live run. AttachError when there is no live run in this home, or at `cluster`."""
        if self.cluster is not None:
            return self._join(self.cluster)
        run_file = RunFile.read(self.home)
        if run_file is None or not run_file.is_live():
            self.close()
            hint = "start one with `helix run` or on the page"
            gone = f"run {run_file.run_id} has ended without cleaning up; resume it or {hint}" if run_file else hint
            raise AttachError(f"no live run in {self.home}: {gone}")
        link = self._link
        if link is None or link.run_file != run_file:
            self.close()
            link = self._link = Link(run_file)
        link.connect()
        return link

    def _join(self, cluster: str) -> Link:
        link = self._link = self._link or Link(RunFile.of_cluster(cluster))
        if not link.attached:  # another run may live there by now
            if not link.finds(METRICS):
                raise AttachError(f"no live run in namespace {link.run_file.namespace} of the cluster at {link.run_file.ray_address}")
            run = link.call(COMMAND_TIMEOUT_S, METRICS, MetricsApi.snapshot).run
            link.run_file = replace(link.run_file, run_id=run.run_id)
        return link

    def _last(self) -> RunFile | None:
        """Of the last run that this client may ask the database about."""
        if self.cluster is None:
            return RunFile.read_last(self.home)
        return self._link.run_file if self._link is not None and self._link.run_file.run_id else None

    def is_live(self) -> bool:
        """Whether the run still has its driver; on a cluster, its actors, which end with the driver."""
        if self.cluster is not None:
            try:
                return (self._link or Link(RunFile.of_cluster(self.cluster))).finds(METRICS)
            except AttachError:
                return False
        run_file = RunFile.read(self.home)
        return run_file is not None and run_file.is_live()

    def snapshot(self, timeout_s: float = POLL_TIMEOUT_S) -> MetricsSnapshot:
        """The run now. AttachError when there is none, or metrics does not answer in time."""
        return self.connect().call(timeout_s, METRICS, MetricsApi.snapshot)

    def history(self, since: float = 0.0, timeout_s: float = POLL_TIMEOUT_S) -> list[HistoryPoint]:
        """The points after ``since`` (Unix seconds): one a second for the last hour, before that one in 30 s for a day, oldest first."""
        return self.connect().call(timeout_s, METRICS, MetricsApi.history, since)

    def send(self, command: Command, timeout_s: float = COMMAND_TIMEOUT_S) -> Ack:
        """Sends a command; sending the same one again is safe. AttachError: it may have arrived or not, so send it again.

        A run that ends while it answers has its answer on record: that is looked up then, which may take seconds.
        """
        try:
            return self.connect().call(timeout_s, CONTROL, ControlApi.send, command)
        except AttachError as error:
            from helix_ray.client.past_run import recorded_answer  # noqa: PLC0415  (as in `past`)

            run_file = self._link.run_file if self._link is not None else self._last()
            try:
                answer = None if run_file is None else recorded_answer(self.home, run_file, command.request_id)
            except (HelixError, OSError, TimeoutError):
                raise error from None
            if answer is not None:
                return answer
            if self.is_live():
                raise
            raise AttachError(f"{error}; the command is not on record, so nothing was done") from error

    def past_history(self, run_id: str) -> list[HistoryPoint]:
        """The curve of a run that is over, at most 600 points, oldest first; empty where this home has no report of it."""
        from helix_ray.client.past_run import past_history  # noqa: PLC0415  (as in `past`)

        return past_history(self.home, run_id)

    def past(self) -> MetricsSnapshot | None:
        """The last run of this home, from the database; None when there is none. May start the embedded server: seconds."""
        from helix_ray.client.past_run import past_snapshot  # noqa: PLC0415  (with psycopg, which a live run's client does without)

        run_file = self._last()
        return past_snapshot(self.home, run_file) if run_file is not None else None

    def dry_run(self, config: Path, overrides: Sequence[str] = ()) -> DryRun:
        """What a run of this configuration would ask for, cost and take; some seconds. StartError when it could not start."""
        return dry_run(config, overrides, _environment(self.home))

    def dry_run_of_live(self, overrides: Sequence[str] = ()) -> DryRun:
        """The same of the live run, from its first read on, with the configuration that is stored with it."""
        from helix_ray.client.past_run import stored_config  # noqa: PLC0415  (as in `past`)

        return dry_run(stored_config(self.home, self.connect().run_file), overrides, _environment(self.home))

    def start_run(self, config_path: Path, overrides: Sequence[str] = ()) -> int:
        """Starts a run as a process of its own and returns its pid. How it goes shows in `snapshot` and `launched`."""
        self.launched = launch(self.home, config_path, overrides)
        return self.launched.process.pid

    def close(self) -> None:
        """Leaves the cluster. Safe twice; the client may be used again."""
        link, self._link = self._link, None
        if link is not None:
            link.leave()


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
    """The code that `helix monitor` printed, which works once; it is removed from the environment, so that no later reader finds it."""
    return os.environ.pop(CONTROL_CODE, None)
