"""What every chat backend promises, asked of the real client over HTTP and of the fake that tests use in its place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from helix_ray.backends.chat import ChatBackend, ChatReply, HttpReply, TransportFailure
from helix_ray.backends.groq_client import GroqChat
from support.fault_server import Exchange, FaultServer
from support.scripted_llm import Reply, ScriptedLLM, chat_reply

PAYLOAD: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "id: x\nreference (1 bases):\n1:A\nread (1 bases):\n1:A"}],
}


class Maker(Protocol):
    """Opens a backend whose provider gives this reply to every request; ``None``: it never answers."""

    def __call__(self, reply: Reply | None) -> Any: ...


@asynccontextmanager
async def real(reply: Reply | None) -> AsyncIterator[ChatBackend]:
    async def behave(exchange: Exchange) -> None:
        if reply is None:
            await asyncio.Event().wait()
        elif isinstance(reply, TransportFailure):
            exchange.writer.close()
        else:
            exchange.send(reply.status, reply.body, {name.title(): value for name, value in reply.headers.items()})

    async with FaultServer(behave) as server:
        chat = GroqChat("key", server.url, 8)
        yield chat
        await chat.aclose()


@asynccontextmanager
async def scripted(reply: Reply | None) -> AsyncIterator[ChatBackend]:
    llm = ScriptedLLM([] if reply is None else [reply] * 10)
    if reply is None:
        llm.hold()
    yield llm
    await llm.aclose()


@pytest.fixture(params=[real, scripted])
def opened(request: pytest.FixtureRequest) -> Maker:
    maker: Maker = request.param
    return maker


@pytest.mark.parametrize("status", [200, 400, 429, 500])
async def test_every_status_comes_back_with_lower_case_headers_and_the_body(opened: Maker, status: int) -> None:
    async with opened(chat_reply(status, {"x-ratelimit-limit-tokens": "8000"}, b'{"a": 1}', 0.1)) as chat:
        reply = await chat.complete(PAYLOAD, 10)
    assert isinstance(reply, ChatReply)
    assert (reply.status, reply.body, reply.headers["x-ratelimit-limit-tokens"]) == (status, b'{"a": 1}', "8000")
    assert all(name == name.lower() for name in reply.headers)
    assert reply.latency_s > 0


async def test_a_lost_answer_is_a_value(opened: Maker) -> None:
    async with opened(TransportFailure("unknown", "disconnected", "the server closed the connection", 0.1)) as chat:
        failure = await chat.complete(PAYLOAD, 10)
    assert isinstance(failure, TransportFailure)
    assert (failure.kind, failure.error_kind) == ("unknown", "disconnected")
    assert failure.message


async def test_the_deadline_is_a_value(opened: Maker) -> None:
    async with opened(None) as chat:
        failure = await chat.complete(PAYLOAD, 0.05)
    assert isinstance(failure, TransportFailure)
    assert (failure.kind, failure.error_kind) == ("unknown", "deadline")


async def test_a_request_can_be_cancelled(opened: Maker) -> None:
    async with opened(None) as chat:
        request = asyncio.create_task(chat.complete(PAYLOAD, 60))
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request


async def test_many_at_once(opened: Maker) -> None:
    async with opened(chat_reply(200, {}, b"{}", 0.1)) as chat:
        replies = await asyncio.gather(*(chat.complete(PAYLOAD, 10) for _ in range(10)))
    assert [reply.status for reply in replies] == [200] * 10


async def test_models_answer_and_closing_is_safe_twice(opened: Maker) -> None:
    async with opened(chat_reply(200, {}, b"{}", 0.1)) as chat:
        assert isinstance(await chat.models(), HttpReply)
        await chat.aclose()
        await chat.aclose()


async def test_the_payload_is_left_as_it_was(opened: Maker) -> None:
    before = repr(PAYLOAD)
    async with opened(chat_reply(200, {}, b"{}", 0.1)) as chat:
        await chat.complete(PAYLOAD, 10)
    assert repr(PAYLOAD) == before
