"""The Ray of a run: its own, started and gone with it and closed to all callers without its token; or a cluster that is there.

``import ray`` reads the authentication mode once, so the environment is set first and ray is imported inside the functions.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helix_ray.config import RayConfig
from helix_ray.environment.logs import Event, event_logger, logs_of
from helix_ray.environment.ray_sessions import KEPT_SESSIONS, end_processes, make_ray_folder, prune, sessions
from helix_ray.environment.variables import for_ray, only, set_for_ray
from helix_ray.errors import ConfigError, StartError

log = event_logger(__name__)

ENDED_GRACE_S, KILLED_GRACE_S = 1.0, 3.0
"""Before what is left of a session is killed: after its end, and after its driver was killed."""


@dataclass(frozen=True, slots=True)
class Cluster:
    address: str
    dashboard_url: str | None
    token_path: Path | None
    logs: Path
    driver_node: str | None = None  # Ray's id of the node that this process runs on, of a cluster that was there before


def prepare_environment(home: Path) -> Path:
    """Makes the token (mode 0600) and sets what Ray reads from the environment; the token's path. Before ``import ray``."""
    token_path = home / "ray_token"
    if not token_path.exists():
        descriptor = os.open(token_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    token_path.chmod(0o600)
    off = {"RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    set_for_ray(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token_path), **off)
    return token_path


def prepare(home: Path, config: RayConfig) -> None:
    """Sets what Ray reads from the environment. Before ``import ray``. ConfigError: environment and configuration do not agree.

    The token of a cluster that is there is found as Ray's documentation says.
    """
    named = os.environ.get("RAY_ADDRESS")
    if config.address is None and named:
        problem = f"the environment has RAY_ADDRESS={named}, and ray.address is not set; set it to auto to run there, or unset the variable"
        raise ConfigError("ray.address", [problem])
    if config.address == "auto" and not named:
        problem = "auto is the cluster of a job (ray job submit), whose RAY_ADDRESS is not set here; name the cluster as HOST:PORT"
        raise ConfigError("ray.address", [problem])
    if config.address is None:
        prepare_environment(home)
    else:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}


@contextmanager
def attached_cluster(config: RayConfig) -> Iterator[Cluster]:
    """A cluster that is there and stays; this process must run on one of its nodes. StartError when it is not let in."""
    import ray  # noqa: PLC0415  (after the environment is set)

    from helix_ray.actors.nodes import home_of_session  # noqa: PLC0415

    _leave_signals_alone()
    try:
        context = ray.init(address=config.address, namespace=config.namespace, log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray has no class of its own for a cluster that lets nobody in
        raise StartError(
            f"the Ray cluster at {config.address} does not let this process in ({type(error).__name__}: {error}); the driver must run on a "
            "node of it, and needs its token: RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        ) from error
    try:
        token, url = os.environ.get("RAY_AUTH_TOKEN_PATH"), context.dashboard_url
        cluster = Cluster(
            address=ray.get_runtime_context().gcs_address,
            dashboard_url=f"http://{url}" if url else None,
            token_path=Path(token) if token else None,
            logs=home_of_session().with_name("logs"),
            driver_node=ray.get_runtime_context().get_node_id(),
        )
        elsewhere = logs_of(home_of_session())
        log.info(Event.RAY_STARTED, version=ray.__version__, address=cluster.address, logs=cluster.logs, parts_elsewhere_log_in=elsewhere)
        yield cluster
    finally:
        ray.shutdown()
        log.info(Event.RAY_ENDED, killed=0)


def _leave_signals_alone() -> None:
    """Ray's own handler of SIGTERM waits up to 30 s and ends this process with a code of its own. Signals are the caller's."""
    import ray._private.utils  # noqa: PLC0415

    ray._private.utils.set_sigterm_handler = lambda _: None


def cluster_of(home: Path, config: RayConfig) -> AbstractContextManager[Cluster]:
    """The one that the configuration says."""
    return local_cluster(home, config) if config.address is None else attached_cluster(config)


@contextmanager
def local_cluster(home: Path, config: RayConfig) -> Iterator[Cluster]:
    """Ray for this process and its actors; shut down on leaving."""
    token_path = prepare_environment(home)
    temp = make_ray_folder(home)
    end_processes(sessions(temp), KILLED_GRACE_S)  # of drivers that were killed: the home has one at a time
    prune(sessions(temp), KEPT_SESSIONS - 1)
    if config.dashboard and config.dashboard_port is not None:
        _check_free(config.dashboard_port)
    import ray  # noqa: PLC0415  (after the environment is set)

    _leave_signals_alone()
    try:
        # Ray's processes start with a copy. TMPDIR: its dashboard makes a socket in a folder of its own there.
        with only({**for_ray(), "TMPDIR": str(temp.parent)}):
            context = ray.init(
                address="local",
                namespace=config.namespace,
                num_cpus=max(2, os.cpu_count() or 2),
                include_dashboard=config.dashboard,
                dashboard_host="127.0.0.1",
                dashboard_port=config.dashboard_port,
                object_store_memory=config.object_store_mb * 1_000_000,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=str(temp),
            )
    except Exception as error:  # Ray has no class of its own for a start that failed
        raise StartError(f"Ray did not start: {error}") from error
    try:
        info: dict[str, Any] = vars(context)["address_info"]  # only a local cluster has it, which mypy cannot know
        url = context.dashboard_url if config.dashboard else None
        cluster = Cluster(
            address=str(info["gcs_address"]),
            dashboard_url=f"http://{url}" if url else None,
            token_path=token_path,
            logs=Path(str(info["session_dir"])) / "logs",
        )
        log.info(Event.RAY_STARTED, version=ray.__version__, address=cluster.address, logs=cluster.logs)
        yield cluster
    finally:
        ray.shutdown()
        killed = end_processes(sessions(temp), ENDED_GRACE_S)
        prune(sessions(temp))
        log.info(Event.RAY_ENDED, killed=killed)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError("ray.dashboard_port", [f"port {port} cannot be used: {error.strerror}; set another, or null"]) from None
