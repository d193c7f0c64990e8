"""Our own local Ray: started with the run, gone with the run, closed to all callers without its token.

``import ray`` reads the authentication mode once, so the environment is set first and ray is imported inside the functions.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helix_ray.actors import api
from helix_ray.config import RayConfig
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import ConfigError, StartError

log = event_logger(__name__)

KEPT_SESSIONS = 2
"""Log folders of earlier runs that are kept; Ray itself never deletes any."""


@dataclass(frozen=True, slots=True)
class Cluster:
    address: str
    dashboard_url: str | None
    token_path: Path
    logs: Path


def prepare_environment(home: Path) -> Path:
    """Makes the token (mode 0600) and sets what Ray reads from the environment; the token's path. Before ``import ray``."""
    token_path = home / "ray_token"
    if not token_path.exists():
        descriptor = os.open(token_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    token_path.chmod(0o600)
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token_path)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DEDUP_LOGS"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    for other in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):  # this run starts its own cluster, and Ray would prefer another's token
        os.environ.pop(other, None)
    return token_path


@contextmanager
def local_cluster(home: Path, config: RayConfig) -> Iterator[Cluster]:
    """Ray for this process and its actors; shut down on leaving."""
    token_path = prepare_environment(home)
    temp = _temp_dir(home)
    if config.dashboard and config.dashboard_port is not None:
        _check_free(config.dashboard_port)
    import ray  # noqa: PLC0415  (after the environment is set)

    try:
        context = ray.init(
            address="local",
            namespace=api.NAMESPACE,
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
        log.info(Event.RAY_ENDED)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError("ray.dashboard_port", [f"port {port} cannot be used: {error.strerror}; set another, or null"]) from None


def _temp_dir(home: Path) -> Path:
    """A short path of this home's own (a UNIX socket's path has at most 107 bytes), cleared of old sessions."""
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:10]
    private = Path(tempfile.gettempdir()) / f"helix-{os.getuid()}-{digest}"
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise StartError(f"{private} must be a folder of yours that nobody else may enter; remove it, or set TMPDIR to another folder")
    temp = private / "ray"  # Ray opens its own folder to everybody
    temp.mkdir(exist_ok=True)
    sessions = sorted((path for path in temp.glob("session_20*") if not path.is_symlink()), key=lambda path: path.name)
    for old in sessions[: -KEPT_SESSIONS or None]:
        try:
            shutil.rmtree(old)
        except OSError as error:
            log.warning(Event.ERROR_HANDLED, what="the logs of an earlier Ray stay", exc_info=error)
    return temp
