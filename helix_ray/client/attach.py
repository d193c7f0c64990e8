"""Joins the Ray cluster of a live run from any other process, and leaves it before it can take that process along.

A process that is still attached when the cluster's control service has been gone for a minute is ended by Ray without a
Python exception. So the patience is set very high before attaching, and the first call that fails is followed by
``ray.shutdown()``; attaching again takes some 50 ms.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate

from helix_ray.actors import api
from helix_ray.actors.api import A, Address, P, R
from helix_ray.environment.run_file import RunFile
from helix_ray.errors import AttachError

PATIENCE_S = "1000000"
RECONNECT = "RAY_gcs_rpc_server_reconnect_timeout_s"


class Link:
    """One connection to one run. Calls from several threads are allowed; attaching and leaving is done by one at a time."""

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
    wanted = {"RAY_AUTH_MODE": "token", RECONNECT: PATIENCE_S, "RAY_USAGE_STATS_ENABLED": "0"}
    if run_file.token_path is not None:
        wanted["RAY_AUTH_TOKEN_PATH"] = run_file.token_path
    imported_before = "ray" in sys.modules
    if not imported_before:
        os.environ.update(wanted)
    import ray  # noqa: PLC0415

    if imported_before and not ray.is_initialized() and any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        _look_again()
    return ray


def _look_again() -> None:
    """For a Ray that was imported under other settings: by another module, or by us for a run of another home.

    It is what Ray itself does when it turns authentication on by default (its authentication_token_setup.py).
    """
    raylet = importlib.import_module("ray._raylet")  # compiled, without type stubs
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
