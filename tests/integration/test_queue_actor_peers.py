"""Calls between actors survive the callee's restart, and its errors arrive as they were raised."""

import asyncio
import os
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from fix_ray import until
from helix_ray.actors import peers
from helix_ray.errors import ConfigError, HelixError, InputError


def make_peer() -> type:
    """Defined inside, so that it travels to the worker by value."""

    class Peer:
        def __init__(self) -> None:
            self.calls = self.hanging = 0

        async def count(self) -> int:
            self.calls += 1
            return self.calls

        async def process(self, but_not: int | None = None) -> int:
            """This process's id; hangs in the one that is not wanted."""
            if os.getpid() == but_not:
                self.hanging += 1
                await asyncio.Event().wait()
            return os.getpid()

        async def hanging_calls(self) -> int:
            return self.hanging

        async def echo(self, *values: Any) -> tuple[Any, ...]:
            return values

        async def fail(self, error: Exception) -> None:
            self.calls += 1
            raise error

        async def hang(self) -> None:
            self.calls += 1
            await asyncio.Event().wait()

    return Peer


async def test_a_call_reaches_the_named_actor(start_actor: Any) -> None:
    start_actor(make_peer(), "peer")
    assert await peers.call("peer", "echo", 1, "two") == (1, "two")


async def test_a_call_waits_for_an_actor_that_does_not_exist_yet(start_actor: Any) -> None:
    calling = asyncio.create_task(peers.call("late", "count"))
    await asyncio.sleep(0)
    start_actor(make_peer(), "late")
    assert await calling == 1


async def test_a_call_in_flight_survives_the_death_of_the_callee(start_actor: Any, ray_cluster: Any) -> None:
    handle = start_actor(make_peer(), "peer")
    first = await peers.call("peer", "process")
    calling = asyncio.create_task(peers.call("peer", "process", first))
    await until(lambda: peers.call("peer", "hanging_calls"))
    ray_cluster.kill(handle, no_restart=False)
    assert await calling != first


async def test_a_call_finds_the_successor_of_the_same_name(start_actor: Any, ray_cluster: Any) -> None:
    first = start_actor(make_peer(), "peer")
    await peers.call("peer", "count")
    ray_cluster.kill(first, no_restart=True)
    del first
    calling = asyncio.create_task(peers.call("peer", "count"))

    async def name_is_free() -> bool:
        return "peer" not in ray_cluster.util.list_named_actors()

    await until(name_is_free)
    start_actor(make_peer(), "peer")
    assert await calling == 1


async def test_our_errors_arrive_unchanged_and_are_not_asked_again(start_actor: Any) -> None:
    start_actor(make_peer(), "peer")
    errors: list[HelixError] = [InputError("reads.fq: record 7 is cut off"), ConfigError("demo.yaml", ["a", "b"])]
    for number, error in enumerate(errors, 1):
        with pytest.raises(type(error)) as caught:
            await peers.call("peer", "fail", error)
        assert type(caught.value) is type(error)
        assert caught.value.args == error.args
        assert await peers.call("peer", "count") == 2 * number


async def test_other_errors_keep_the_remote_traceback_and_are_not_asked_again(start_actor: Any) -> None:
    start_actor(make_peer(), "peer")
    for number, error in enumerate([KeyError("x"), TimeoutError("its own"), ValueError("y")], 1):
        with pytest.raises(RayTaskError, match="fail"):
            await peers.call("peer", "fail", error)
        assert await peers.call("peer", "count") == 2 * number


async def test_it_gives_up_when_asked_to(start_actor: Any, ray_cluster: Any) -> None:
    with pytest.raises(ValueError, match="nobody"):
        await peers.call("nobody", "count", give_up_after_s=0.0)
    handle = start_actor(make_peer(), "peer")
    with pytest.raises(TimeoutError):
        await peers.call("peer", "hang", timeout_s=0.05, give_up_after_s=0.0)
    assert await peers.call("peer", "echo", 1) == (1,)  # the actor lives, only the call took too long
    ray_cluster.kill(handle, no_restart=True)
    with pytest.raises(RayActorError):
        while True:  # a call that overtakes the kill is still answered
            await peers.call("peer", "count", give_up_after_s=0.0)


async def test_metrics_do_not_wait_for_anyone(start_actor: Any) -> None:
    assert await peers.call_or_none("nobody", "report") is None
    start_actor(make_peer(), "peer")
    assert await peers.call_or_none("peer", "echo", 3, timeout_s=30.0) == (3,)
    assert await peers.call_or_none("peer", "hang", timeout_s=0.05) is None
    with pytest.raises(InputError):
        await peers.call_or_none("peer", "fail", InputError("told"), timeout_s=30.0)
