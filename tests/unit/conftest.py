"""Unit tests decide everything in memory: one that opens a socket or starts Ray fails with the reason."""

import socket
from typing import Any

import pytest
import ray

_open_socket = socket.socket.__init__


def _only_a_pair(self: socket.socket, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
    """An event loop wakes itself through a `socket.socketpair`, which hands over descriptors that are open already."""
    if fileno is None:
        raise AssertionError("a unit test opened a socket; use a fake, or move the test to tests/contract or tests/integration")
    _open_socket(self, family, type, proto, fileno)


def _no_ray(*_args: Any, **_options: Any) -> None:
    raise AssertionError("a unit test started Ray; test the policy, or move the test to tests/integration")


@pytest.fixture(autouse=True)
def _in_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "__init__", _only_a_pair)
    monkeypatch.setattr(ray, "init", _no_ray)
