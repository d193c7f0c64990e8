"""One local Ray for the whole session, and actors that are fresh for every test."""

import asyncio
import os
import pickle
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helix_ray.actors import api

# Ray reads these once, when it is imported, which collecting the tests does.
os.environ.update({"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"})
os.environ.pop("RAY_ADDRESS", None)

ROOT = Path(__file__).parents[1]
NAME_TIMEOUT_S = 30.0


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several test processes all tests of the session's Ray go to one of them, so that there is one cluster."""
    for item in items:
        if isinstance(item, pytest.Function) and "ray_cluster" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """The module ``ray``, connected to a cluster of this session's own with a token of its own."""
    temp = Path(tempfile.mkdtemp(prefix="hxt", dir="/tmp"))  # short: a UNIX socket's path has at most 107 bytes
    token = temp / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    changed = {
        "RAY_AUTH_TOKEN_PATH": str(token),
        # workers import the package, and what stands in for its parts, from where they are tested, and the helpers of the tests
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")])),
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, on import and on start
        import ray

        ray.init(
            address="local",
            namespace=api.NAMESPACE,
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100_000_000,
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=str(temp),
        )
    yield ray
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.shutdown()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    shutil.rmtree(temp, ignore_errors=True)


async def until(holds: Callable[[], Awaitable[bool]], pause_s: float = 0.01) -> None:
    """Returns when ``holds`` does; the test's own timeout is the limit."""
    while True:
        if await holds():
            return
        await asyncio.sleep(pause_s)


StartActor = Callable[..., Any]


@pytest.fixture
def start_actor(ray_cluster: Any) -> Iterator[StartActor]:
    """``start_actor(SomeClass, name, *arguments, max_concurrency=1000)``: an actor made as the pipeline makes it.

    All of a test's actors are killed after it, and their names are free again before the next.
    """
    from helix_ray.actors import peers
    from helix_ray.actors.group import make_actor

    handles: dict[str, Any] = {}

    def start(plain: type, name: str, *arguments: Any, max_concurrency: int = 1000) -> Any:
        handles[name] = make_actor(plain, name, *arguments, max_concurrency=max_concurrency)
        return handles[name]

    peers.forget()
    yield start
    started = list(handles)
    for handle in handles.values():
        ray_cluster.kill(handle, no_restart=True)
    handles.clear()
    peers.forget()
    for name in started:
        _wait_until_free(ray_cluster, name)


class LocalHandle:
    """An actor within this process that is called as by its Ray handle. Arguments and answers are pickled, as between processes."""

    def __init__(self, actor: object) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            return pickle.loads(pickle.dumps(await getattr(self._actor, name)(*pickle.loads(pickle.dumps(arguments)))))

        return SimpleNamespace(remote=lambda *arguments: asyncio.create_task(call(*arguments)))


@pytest.fixture
def start_local(ray_cluster: Any) -> Iterator[StartActor]:
    """As `start_actor`, without the process, which takes a second to start: for what the actors do, not for what Ray does."""
    from helix_ray.actors import peers

    def start(plain: Callable[..., object], name: str, *arguments: Any, max_concurrency: int = 1000) -> Any:
        peers._handles[name] = LocalHandle(plain(*arguments))
        return peers._handles[name]

    peers.forget()
    yield start
    peers.forget()


def _wait_until_free(ray: Any, name: str) -> None:
    deadline = time.monotonic() + NAME_TIMEOUT_S
    while any(actor["name"] == name for actor in ray.util.list_named_actors(all_namespaces=True)):
        if time.monotonic() > deadline:
            pytest.fail(f"{name} is still registered {NAME_TIMEOUT_S} s after it was killed")
