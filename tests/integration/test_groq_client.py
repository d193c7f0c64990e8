"""The real Groq SDK over real HTTP against a server that misbehaves in every way that was ever measured."""

import asyncio
import gzip
import json
import pickle
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from helix_ray.backends import http_transport
from helix_ray.backends.chat import ChatReply, HttpReply, TransportFailure
from helix_ray.backends.groq_client import GroqChat
from helix_ray.errors import ConfigError, MissingSecretError
from support.fault_server import Exchange, FaultServer, drip, hang

KEY = "gsk_1-secret-that-nobody-may-see"
PAYLOAD = {"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "id: x"}]}
GOOD = b'{"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]}'


async def good(exchange: Exchange) -> None:
    exchange.send(200, GOOD, {"X-RateLimit-Limit-Tokens": "8000"})


def sends(status: int, body: bytes, headers: dict[str, str] | None = None) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
    async def behave(exchange: Exchange) -> None:
        exchange.send(status, body, headers)

    return behave


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(good) as running:
        yield running


@pytest.fixture
async def chat(server: FaultServer) -> AsyncIterator[GroqChat]:
    client = GroqChat(KEY, server.url, 8)
    yield client
    await client.aclose()


async def test_an_answer_is_a_value_with_status_headers_and_body(server: FaultServer, chat: GroqChat) -> None:
    reply = await chat.complete(PAYLOAD, 10)
    assert isinstance(reply, ChatReply)
    assert (reply.status, reply.body, reply.headers["x-ratelimit-limit-tokens"]) == (200, GOOD, "8000")
    assert reply.latency_s > 0
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.path, exchange.json()) == ("POST", "/openai/v1/chat/completions", PAYLOAD)
    assert exchange.headers["authorization"] == f"Bearer {KEY}"
    assert exchange.headers["x-stainless-retry-count"] == "0"
    assert exchange.headers["accept-encoding"] == "identity"


async def test_models_are_listed(server: FaultServer, chat: GroqChat) -> None:
    reply = await chat.models()
    assert isinstance(reply, HttpReply)
    assert (server.exchanges[0].method, server.exchanges[0].path) == ("GET", "/openai/v1/models")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 408, 409, 413, 422, 424, 429, 498, 499, 500, 502, 503])
async def test_every_status_is_a_reply_and_nothing_is_sent_twice(server: FaultServer, chat: GroqChat, status: int) -> None:
    body = b'{"error": {"message": "no", "code": "c"}}'
    server.behaviour = sends(status, body, {"Retry-After": "0", "X-Should-Retry": "true", "Location": "/elsewhere"})
    reply = await chat.complete(PAYLOAD, 10)
    assert isinstance(reply, ChatReply)
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, body, "0")
    assert len(server.exchanges) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"<html>502 Bad Gateway</html>", "text/html"),
        (200, b"<html>hello</html>", "text/html"),
        (200, b"", "application/json"),
        (200, b'{"choices": [', "application/json"),
        (200, b"\xff\xfe\x00", "application/json; charset=nonsense"),
    ],
)
async def test_a_body_is_passed_on_as_it_is(server: FaultServer, chat: GroqChat, status: int, body: bytes, kind: str) -> None:
    server.behaviour = sends(status, body, {"Content-Type": kind})
    reply = await chat.complete(PAYLOAD, 10)
    assert isinstance(reply, ChatReply)
    assert (reply.status, reply.body) == (status, body)


async def refused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


async def test_a_refused_connection_was_not_sent() -> None:
    chat = GroqChat(KEY, f"http://127.0.0.1:{await refused_port()}", 8)
    failure = await chat.complete(PAYLOAD, 10)
    await chat.aclose()
    assert isinstance(failure, TransportFailure)
    assert (failure.kind, failure.error_kind) == ("not_sent", "connect")


async def test_an_unknown_host_was_not_sent() -> None:
    chat = GroqChat(KEY, "http://no-such-host.invalid", 8)
    failure = await chat.complete(PAYLOAD, 20)
    await chat.aclose()
    assert isinstance(failure, TransportFailure)
    assert failure.kind == "not_sent"
    assert failure.error_kind in {"connect", "connect_timeout"}


async def reset_before_reply(exchange: Exchange) -> None:
    exchange.reset()


async def fin_before_reply(exchange: Exchange) -> None:
    exchange.writer.close()


async def fin_in_body(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + b"x" * 50)
    await exchange.writer.drain()
    exchange.writer.close()


async def fin_in_chunks(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await exchange.writer.drain()
    exchange.writer.close()


async def not_http(exchange: Exchange) -> None:
    exchange.writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await exchange.writer.drain()
    exchange.writer.close()


@pytest.mark.parametrize(
    ("behaviour", "error_kinds"),
    [
        (reset_before_reply, {"reset", "disconnected"}),
        (fin_before_reply, {"disconnected"}),
        (fin_in_body, {"reset"}),
        (fin_in_chunks, {"reset"}),
        (not_http, {"disconnected"}),
    ],
)
async def test_a_connection_that_breaks_after_sending_may_have_been_billed(
    server: FaultServer, chat: GroqChat, behaviour: Any, error_kinds: set[str]
) -> None:
    server.behaviour = behaviour
    failure = await chat.complete(PAYLOAD, 10)
    assert isinstance(failure, TransportFailure)
    assert failure.kind == "unknown"
    assert failure.error_kind in error_kinds
    assert len(server.exchanges) == 1


async def test_an_idle_connection_that_the_server_dropped_is_not_retried_behind_our_back(server: FaultServer, chat: GroqChat) -> None:
    assert isinstance(await chat.complete(PAYLOAD, 10), ChatReply)
    server.behaviour = fin_before_reply
    assert isinstance(await chat.complete(PAYLOAD, 10), TransportFailure)
    server.behaviour = good
    assert isinstance(await chat.complete(PAYLOAD, 10), ChatReply)
    assert len(server.exchanges) == 3


@pytest.mark.parametrize("behaviour", [hang, drip])
async def test_one_deadline_holds_for_the_whole_attempt(server: FaultServer, chat: GroqChat, behaviour: Any) -> None:
    server.behaviour = behaviour
    failure = await chat.complete(PAYLOAD, 0.2)
    assert isinstance(failure, TransportFailure)
    assert (failure.kind, failure.error_kind) == ("unknown", "deadline")
    server.behaviour = good
    assert isinstance(await chat.complete(PAYLOAD, 10), ChatReply)


async def endless(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        exchange.writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await exchange.writer.drain()


async def declared_huge(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
    while True:
        exchange.writer.write(b"x" * 0x10000)
        await exchange.writer.drain()


@pytest.mark.parametrize(
    "behaviour",
    [
        endless,
        declared_huge,
        sends(200, gzip.compress(b"x" * (http_transport.MAX_BODY_BYTES + 1)), {"Content-Encoding": "gzip"}),
        sends(200, b"not gzip", {"Content-Encoding": "gzip"}),
        sends(200, b"?", {"Content-Encoding": "br"}),
    ],
)
async def test_a_body_without_measure_is_given_up(server: FaultServer, chat: GroqChat, behaviour: Any) -> None:
    server.behaviour = behaviour
    failure = await chat.complete(PAYLOAD, 30)
    assert isinstance(failure, TransportFailure)
    assert (failure.kind, failure.error_kind) == ("unknown", "unreadable")


async def test_a_body_that_was_compressed_unasked_is_read(server: FaultServer, chat: GroqChat) -> None:
    server.behaviour = sends(200, gzip.compress(GOOD), {"Content-Encoding": "gzip"})
    reply = await chat.complete(PAYLOAD, 10)
    assert isinstance(reply, ChatReply)
    assert reply.body == GOOD
    assert "content-encoding" not in reply.headers


async def test_cancelling_ends_the_request(server: FaultServer, chat: GroqChat) -> None:
    arrived = asyncio.Event()

    async def tell_and_hang(exchange: Exchange) -> None:
        arrived.set()
        await asyncio.Event().wait()

    server.behaviour = tell_and_hang
    request = asyncio.create_task(chat.complete(PAYLOAD, 60))
    await arrived.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_connections_are_kept_and_bounded(server: FaultServer) -> None:
    chat = GroqChat(KEY, server.url, 4)
    for _ in range(3):
        replies = await asyncio.gather(*(chat.complete(PAYLOAD, 30) for _ in range(20)))
        assert all(isinstance(reply, ChatReply) for reply in replies)
    await chat.aclose()
    assert len(server.exchanges) == 60
    assert server.connections <= 4


async def test_the_environment_changes_nothing(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = f"http://127.0.0.1:{await refused_port()}"
    monkeypatch.setenv("GROQ_BASE_URL", dead)
    monkeypatch.setenv("GROQ_CUSTOM_HEADERS", "Authorization: Bearer other\nX-Injected: yes")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, dead)
    chat = GroqChat(KEY, server.url, 8)
    assert isinstance(await chat.complete(PAYLOAD, 10), ChatReply)
    await chat.aclose()
    headers = server.exchanges[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "x-injected" not in headers
    assert repr(GroqChat(KEY, None, 8)) == "GroqChat(https://api.groq.com/openai/v1)"


async def test_no_cookie_is_kept(server: FaultServer, chat: GroqChat) -> None:
    server.behaviour = sends(200, GOOD, {"Set-Cookie": "__cf_bm=abc; path=/"})
    for _ in range(2):
        await chat.complete(PAYLOAD, 10)
    assert "cookie" not in server.exchanges[1].headers


async def test_the_key_is_shown_nowhere(server: FaultServer, chat: GroqChat, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    async def quote(exchange: Exchange) -> None:
        exchange.send(401, json.dumps({"error": {"message": f"bad key: {exchange.headers['authorization']}"}}).encode())

    server.behaviour = quote
    reply = await chat.complete(PAYLOAD, 10)
    server.behaviour = sends(200, GOOD.replace(b"}", KEY.encode() + b"}"))
    answer = await chat.complete(PAYLOAD, 10)
    server.behaviour = reset_before_reply
    failure = await chat.complete(PAYLOAD, 10)
    shown = repr(chat) + str(chat) + repr((reply, answer, failure)) + repr(pickle.dumps((reply, answer, failure))) + caplog.text
    assert KEY not in shown


async def test_a_key_that_is_a_word_changes_no_answer(server: FaultServer) -> None:
    chat = GroqChat("finish_reason", server.url, 8)
    server.behaviour = sends(200, GOOD)
    reply = await chat.complete(PAYLOAD, 10)
    await chat.aclose()
    assert b"finish_reason" in GOOD
    assert isinstance(reply, ChatReply)
    assert reply.body == GOOD


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(MissingSecretError) as caught:
        GroqChat(key, None, 8)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://example.org", "http://", "http://[::1", "example.org"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        GroqChat(KEY, url, 8)


async def test_nothing_but_the_resource_is_appended_to_an_address_with_a_path(server: FaultServer) -> None:
    for suffix, path in (("/v1", "/v1/chat/completions"), ("/openai/v1/", "/openai/v1/chat/completions")):
        chat = GroqChat(KEY, server.url + suffix, 8)
        await chat.complete(PAYLOAD, 10)
        await chat.aclose()
        assert server.exchanges[-1].path == path
