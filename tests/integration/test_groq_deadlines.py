"""No request outlives its deadline, wherever it hangs; and what never got a connection was not sent."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from helix_ray.backends import http_transport
from helix_ray.backends.chat import TransportFailure
from helix_ray.backends.groq_client import GroqChat
from support.fault_server import Exchange, FaultServer, drip, hang

PAYLOAD = {"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "id: x"}]}
TIMEOUT_S = 0.3
TOLERANCE_S = 0.5
TRIES = 3
"""Of which one must be in time: a machine that is busy elsewhere may be late once, a deadline that does not hold is late always."""


async def overrun(chat: GroqChat, payload: dict[str, Any]) -> tuple[float, TransportFailure]:
    """The least time beyond the deadline, and how the last request ended."""
    least = float("inf")
    for _ in range(TRIES):
        began = time.monotonic()
        failure = await chat.complete(payload, TIMEOUT_S)
        least = min(least, time.monotonic() - began - TIMEOUT_S)
        assert isinstance(failure, TransportFailure)
    return least, failure


async def hang_in_the_headers(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ncontent-ty")
    await asyncio.Event().wait()


async def hang_in_the_body(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + b"x" * 50)
    await asyncio.Event().wait()


async def drip_chunks(exchange: Exchange) -> None:
    await drip(exchange, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n")


async def drip_headers(exchange: Exchange) -> None:
    await drip(exchange, b"HTTP/1.1 200 OK\r\n", b"a: b\r\n")


async def never_an_answer_but_progress(exchange: Exchange) -> None:
    await drip(exchange, b"", b"HTTP/1.1 102 Processing\r\n\r\n")


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(hang) as running:
        yield running


@pytest.mark.parametrize(
    "behaviour", [hang, hang_in_the_headers, hang_in_the_body, drip, drip_chunks, drip_headers, never_an_answer_but_progress]
)
async def test_a_deadline_holds_wherever_the_answer_stops(server: FaultServer, behaviour: Any) -> None:
    server.behaviour = behaviour
    chat = GroqChat("key", server.url, 8)
    late_s, failure = await overrun(chat, PAYLOAD)
    await chat.aclose()
    assert late_s <= TOLERANCE_S
    assert (failure.kind, failure.error_kind) == ("unknown", "deadline")
    assert len(server.exchanges) == TRIES


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """Connections to it are made by the kernel; nobody ever accepts one, or reads."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener


@pytest.mark.parametrize("size", [1, 1_000_000])
async def test_a_deadline_holds_where_nobody_reads_and_closing_does_too(deaf: socket.socket, size: int) -> None:
    chat = GroqChat("key", f"http://127.0.0.1:{deaf.getsockname()[1]}", 8)
    late_s, failure = await overrun(chat, {**PAYLOAD, "filler": "x" * size})
    assert late_s <= TOLERANCE_S
    assert (failure.kind, failure.error_kind) == ("unknown", "deadline"), "part of it may have been read"
    async with asyncio.timeout(http_transport.CLOSE_TIMEOUT_S + 10):
        await chat.aclose()


async def test_without_a_connection_nothing_was_sent() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # once its backlog is full, the kernel drops what else asks for a connection
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        chat = GroqChat("key", f"http://127.0.0.1:{listener.getsockname()[1]}", 8)
        late_s, failure = await overrun(chat, PAYLOAD)
        await chat.aclose()
    assert late_s <= TOLERANCE_S
    assert (failure.kind, failure.error_kind) == ("not_sent", "connect_timeout")


async def test_without_an_address_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*arguments: Any, **keywords: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    chat = GroqChat("key", "http://somewhere.invalid", 8)
    late_s, failure = await overrun(chat, PAYLOAD)
    await chat.aclose()
    assert late_s <= TOLERANCE_S
    assert (failure.kind, failure.error_kind) == ("not_sent", "connect_timeout")


async def test_waiting_for_a_free_connection_is_not_sending(server: FaultServer) -> None:
    chat = GroqChat("key", server.url, 1)
    first = asyncio.create_task(chat.complete(PAYLOAD, 30))
    while not server.exchanges:  # noqa: ASYNC110  (the server's own record is the signal)
        await asyncio.sleep(0)
    late_s, failure = await overrun(chat, PAYLOAD)
    first.cancel()
    await asyncio.wait([first])
    await chat.aclose()
    assert late_s <= TOLERANCE_S
    assert (failure.kind, failure.error_kind) == ("not_sent", "connect_timeout")
    assert len(server.exchanges) == 1
