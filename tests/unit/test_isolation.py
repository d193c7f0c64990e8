"""The guard of the unit tests guards."""

from __future__ import annotations

import asyncio
import socket

import pytest
import ray


def test_a_socket_is_refused() -> None:
    with pytest.raises(AssertionError, match="a unit test opened a socket"):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match="a unit test opened a socket"):
        socket.socket(socket.AF_UNIX)


def test_ray_is_refused() -> None:
    with pytest.raises(AssertionError, match="a unit test started Ray"):
        ray.init()


async def test_an_event_loop_of_its_own_still_works() -> None:
    assert await asyncio.to_thread(asyncio.run, asyncio.sleep(0, "done")) == "done"
