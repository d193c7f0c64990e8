"""Calls between actors survive the callee's restart, and its errors arrive as they were raised."""

import asyncio
import os
import sys
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import RayActorError, RayTaskError

from fix_ray import until
from helix_ray.actors import peers
from helix_ray.actors.api import Address
from helix_ray.actors.peers import PeerAwayError
from helix_ray.errors import ConfigError, HelixError, InputError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import a test file


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


PEER: Address[Peer] = Address("peer")
NOBODY: Address[Peer] = Address("nobody")
LATE: Address[Peer] = Address("late")


async def test_a_call_reaches_the_named_actor(start_actor: Any) -> None:
    start_actor(Peer, PEER)
    assert await peers.call(PEER, Peer.echo, 1, "two") == (1, "two")


async def test_a_call_waits_for_an_actor_that_does_not_exist_yet(start_actor: Any) -> None:
    calling = asyncio.create_task(peers.call(LATE, Peer.count))
    await asyncio.sleep(0)
    start_actor(Peer, LATE)
    assert await calling == 1


async def test_a_call_in_flight_survives_the_death_of_the_callee(start_actor: Any, ray_cluster: Any) -> None:
    handle = start_actor(Peer, PEER)
    first = await peers.call(PEER, Peer.process)
    calling = asyncio.create_task(peers.call(PEER, Peer.process, first))
    await until(lambda: peers.call(PEER, Peer.hanging_calls))
    ray_cluster.kill(handle, no_restart=False)
    assert await calling != first


async def test_a_call_finds_the_successor_of_the_same_name(start_actor: Any, ray_cluster: Any) -> None:
    first = start_actor(Peer, PEER)
    await peers.call(PEER, Peer.count)
    ray_cluster.kill(first, no_restart=True)
    del first
    calling = asyncio.create_task(peers.call(PEER, Peer.count))

    async def name_is_free() -> bool:
        return "peer" not in ray_cluster.util.list_named_actors()

    await until(name_is_free)
    start_actor(Peer, PEER)
    assert await calling == 1


async def test_our_errors_arrive_unchanged_and_are_not_asked_again(start_actor: Any) -> None:
    start_actor(Peer, PEER)
    errors: list[HelixError] = [InputError("reads.fq: record 7 is cut off"), ConfigError("demo.yaml", ["a", "b"])]
    for number, error in enumerate(errors, 1):
        with pytest.raises(type(error)) as caught:
            await peers.call(PEER, Peer.fail, error)
        assert type(caught.value) is type(error)
        assert caught.value.args == error.args
        assert await peers.call(PEER, Peer.count) == 2 * number


async def test_other_errors_keep_the_remote_traceback_and_are_not_asked_again(start_actor: Any) -> None:
    start_actor(Peer, PEER)
    for number, error in enumerate([KeyError("x"), TimeoutError("its own"), ValueError("y")], 1):
        with pytest.raises(RayTaskError, match="fail"):
            await peers.call(PEER, Peer.fail, error)
        assert await peers.call(PEER, Peer.count) == 2 * number


async def test_one_attempt_says_why_there_is_no_answer(start_actor: Any, ray_cluster: Any) -> None:
    with pytest.raises(PeerAwayError, match="nobody"):
        await peers.attempt(None, NOBODY, Peer.count)
    handle = start_actor(Peer, PEER)
    with pytest.raises(PeerAwayError) as caught:
        await peers.attempt(0.05, PEER, Peer.hang)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert await peers.call(PEER, Peer.echo, 1) == (1,)  # the actor lives, only the call took too long
    ray_cluster.kill(handle, no_restart=True)
    with pytest.raises(PeerAwayError) as caught:
        while True:  # a call that overtakes the kill is still answered
            await peers.attempt(None, PEER, Peer.count)
    assert isinstance(caught.value.__cause__, RayActorError)


async def test_metrics_do_not_wait_for_anyone(start_actor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await peers.call_or_none(NOBODY, Peer.count) is None
    start_actor(Peer, PEER)
    monkeypatch.setattr(peers, "METRICS_TIMEOUT_S", 30.0)
    assert await peers.call_or_none(PEER, Peer.echo, 3) == (3,)
    with pytest.raises(InputError):
        await peers.call_or_none(PEER, Peer.fail, InputError("told"))
    monkeypatch.setattr(peers, "METRICS_TIMEOUT_S", 0.05)
    assert await peers.call_or_none(PEER, Peer.hang) is None
