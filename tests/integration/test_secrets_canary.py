"""Secrets are arguments of methods, never of constructors: Ray's control service keeps the latter, and knows nothing of the former."""

import asyncio
import secrets
from pathlib import Path
from typing import Any, Protocol

import psutil

from fix_ray import until
from helix_ray.actors import api, peers
from helix_ray.actors.api import Address
from helix_ray.environment.secrets import Secret
from support.canaries import files_in, memory_of, occurrences

RESTARTS = 2


def with_secrets() -> type:
    """Defined inside, so that it travels to the worker by value."""

    class Holder:
        def __init__(self, constructed: Secret) -> None:
            self._incarnation, self._held = secrets.token_hex(6), {constructed}

        async def ping(self) -> str:
            return self._incarnation

        async def run(self, secret: Secret) -> None:
            self._held.add(secret)
            await asyncio.Event().wait()

        async def start(self, secret: Secret) -> None:
            self._held.add(secret)

        async def holds(self) -> int:
            return len(self._held)

    return Holder


class HolderApi(api.ActorApi, Protocol):
    async def start(self, secret: Secret) -> None: ...

    async def holds(self) -> int: ...


HOLDER: Address[HolderApi] = Address("holder")


async def test_arguments_of_methods_stay_out_of_the_control_service(start_actor: Any, ray_cluster: Any) -> None:
    canaries = [f"canary-{secrets.token_hex(16)}" for _ in range(3)]
    by_run, by_start, by_constructor = (Secret(canary) for canary in canaries)
    handle = start_actor(with_secrets(), HOLDER, by_constructor)
    running = handle.run.options(max_task_retries=-1).remote(by_run)
    for restart in range(RESTARTS + 1):

        async def holds_all() -> bool:
            return await peers.call(HOLDER, HolderApi.holds) == len(canaries)

        await peers.call(HOLDER, HolderApi.start, by_start)
        await until(holds_all)  # Ray has repeated `run`, with its argument
        if restart < RESTARTS:
            before = await peers.call(HOLDER, HolderApi.ping)
            ray_cluster.kill(handle, no_restart=False)

            async def restarted(before: str = before) -> bool:
                return await peers.call(HOLDER, HolderApi.ping) != before

            await until(restarted)
    del running

    processes = psutil.Process().children(recursive=True)
    needles = [canary.encode() for canary in canaries]
    [control_service] = [process for process in processes if process.name() == "gcs_server"]
    run_count, start_count, constructor_count = occurrences(needles, memory_of(control_service))
    assert (run_count, start_count) == (0, 0)
    assert constructor_count > 0, "this would not find a secret that is there"
    [raylet] = [process for process in processes if process.name() == "raylet"]
    assert occurrences(needles, memory_of(raylet))[:2] == [0, 0]
    session = Path(ray_cluster._private.worker._global_node.get_session_dir_path())
    assert occurrences(needles, files_in(session))[:2] == [0, 0]
