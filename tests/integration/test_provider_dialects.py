"""Requests as each provider takes them, over real HTTP: path, key, parameters, form of the answer; and proxies and TLS on the way."""

import asyncio
from collections.abc import AsyncIterator
from functools import partialmethod
from typing import Any
from unittest.mock import Mock

import pytest
from groq import AsyncGroq

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, get_prompt
from helix_ray.backends.chat import ChatReply, TransportFailure
from helix_ray.backends.groq_client import GroqChat, open_chat
from helix_ray.backends.http_transport import proxy_for
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret, load_secrets
from helix_ray.errors import ConfigError, MissingSecretError
from helix_ray.session.provider_check import check_backend, check_key
from support.fault_server import Exchange, FaultServer

KEY = "sk-1-secret-that-nobody-may-see"
GOOD = b'{"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]}'
REQUEST, _ = PayloadBuilder(
    get_prompt("raw"), model="m", seed=7, max_completion_tokens=99, reasoning_effort="low", service_tier="on_demand"
).build([Ask("id", "ACGT", "ACGT")])
PLAIN = {"messages", "model", "temperature", "seed", "max_tokens"}

# What a request holds beside its form, and the path below the address that the provider's documentation prints.
TAKEN = {
    "groq": ({*PLAIN, "max_completion_tokens", "reasoning_effort", "service_tier"} - {"max_tokens"}, "/openai/v1"),
    "openai": (PLAIN - {"max_tokens"} | {"max_completion_tokens"}, "/v1"),
    "openrouter": (PLAIN, "/api/v1"),
    "vllm": (PLAIN, "/v1"),
    "ollama": ({*PLAIN, "reasoning_effort"}, "/v1"),
    "llamacpp": (PLAIN, "/v1"),
    "litellm": (PLAIN, ""),
    "compatible": (PLAIN, "/any/path"),
}


async def good(exchange: Exchange) -> None:
    exchange.send(200, GOOD)


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(good) as running:
        yield running


def asking(server: FaultServer, name: str, path: str = "/v1", **provider: Any) -> Config:
    section = {"name": name, "base_url": server.url + path, "prices": {"prompt": 0, "completion": 0}, **provider}
    return Config.model_validate({"analyzer": {"backend": "groq", "model": "m"}, "provider": section})


async def sent(server: FaultServer, config: Config, env: dict[str, str] | None = None) -> tuple[GroqChat, ChatReply]:
    chat = open_chat(config, check_key(config, load_secrets(env or {}, None)), 4)
    reply = await chat.complete(REQUEST, 10)
    await chat.aclose()
    assert isinstance(reply, ChatReply)
    assert all(exchange.headers["user-agent"].startswith("AsyncGroq/") for exchange in server.exchanges), "every request is the SDK's"
    return chat, reply


@pytest.mark.parametrize("name", TAKEN)
async def test_each_provider_gets_what_it_takes_where_it_takes_it(name: str, server: FaultServer) -> None:
    parameters, path = TAKEN[name]
    variables = dict.fromkeys(("GROQ_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY"), KEY)
    await sent(server, asking(server, name, path), variables)
    (exchange,) = server.exchanges
    assert exchange.path == f"{path}/chat/completions"
    assert exchange.json().keys() == {*parameters, "response_format"}
    assert exchange.headers.get("authorization") == (f"Bearer {KEY}" if name in ("groq", "openai", "openrouter") else None)


async def test_every_request_passes_through_the_sdk_which_heads_it(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    passed, built = Mock(wraps=AsyncGroq.post), Mock(wraps=AsyncGroq._build_request)
    monkeypatch.setattr(AsyncGroq, "post", partialmethod(passed))
    monkeypatch.setattr(AsyncGroq, "_build_request", partialmethod(built))
    chat = open_chat(asking(server, "groq"), Secret(KEY), 4)
    for _ in range(3):
        await chat.complete(REQUEST, 10)
    await chat.aclose()
    assert (passed.call_count, built.call_count) == (len(server.exchanges), 1) == (3, 1)
    assert len({frozenset(exchange.headers.items()) for exchange in server.exchanges}) == 1
    assert server.exchanges[0].headers["x-stainless-lang"] == "python"


async def test_every_part_of_a_dialect_can_be_set(server: FaultServer) -> None:
    parts = {
        "api_key_env": "LAB_API_KEY", "structured_output": "structured_outputs", "completion_bound": "max_completion_tokens",
        "parameters": [], "headers": {"X-Lab": "7"},
    }  # fmt: skip
    config = asking(server, "compatible", **parts)
    with pytest.raises(MissingSecretError, match="LAB_API_KEY is not set"):
        await sent(server, config)
    await sent(server, config, {"LAB_API_KEY": KEY})
    (exchange,) = server.exchanges
    assert (exchange.headers["authorization"], exchange.headers["x-lab"]) == (f"Bearer {KEY}", "7")
    assert exchange.json().keys() == {"messages", "model", "max_completion_tokens", "structured_outputs"}
    assert exchange.json()["structured_outputs"]["json"]["type"] == "object"


async def test_the_form_of_an_answer_is_asked_once_and_remembered(server: FaultServer) -> None:
    async def no_schema(exchange: Exchange) -> None:
        kind = exchange.json().get("response_format", {}).get("type")
        if kind == "json_schema":
            exchange.send(400, b'{"error": {"message": "response_format: json_schema is not supported"}}')
        else:
            exchange.send(200, GOOD)

    server.behaviour = no_schema
    chat = open_chat(asking(server, "llamacpp"), None, 8)
    replies = await asyncio.gather(*(chat.complete(REQUEST, 10) for _ in range(6)))
    await chat.aclose()
    assert [reply.status for reply in replies if isinstance(reply, ChatReply)] == [200] * 6
    forms = [exchange.json()["response_format"]["type"] for exchange in server.exchanges]
    assert forms == ["json_schema", *["json_object"] * 6], "one request finds out for all"
    _, reply = await sent(server, asking(server, "llamacpp", structured_output="json_schema"))
    assert reply.status == 400, "a form that is set is the only one"


async def test_who_waited_for_the_first_answer_goes_side_by_side_after_it(server: FaultServer) -> None:
    together = asyncio.Barrier(5)

    async def first_alone(exchange: Exchange) -> None:
        if len(server.exchanges) > 1:
            await together.wait()
        exchange.send(200, GOOD)

    server.behaviour = first_alone
    chat = open_chat(asking(server, "vllm"), None, 8)
    replies = await asyncio.gather(*(chat.complete(REQUEST, 10) for _ in range(6)))
    await chat.aclose()
    assert [reply.status for reply in replies if isinstance(reply, ChatReply)] == [200] * 6


async def test_waiting_for_the_first_answer_is_within_a_requests_own_time(server: FaultServer) -> None:
    async def never(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    server.behaviour = never
    chat = open_chat(asking(server, "vllm"), None, 8)
    first, second = await asyncio.gather(chat.complete(REQUEST, 0.6), chat.complete(REQUEST, 0.2))
    await chat.aclose()
    assert isinstance(first, TransportFailure)
    assert isinstance(second, TransportFailure)
    assert (first.kind, second.kind, len(server.exchanges)) == ("unknown", "not_sent", 1)


async def test_a_self_hosted_model_runs_for_nothing_and_a_wrong_path_is_named(server: FaultServer) -> None:
    async def vllm(exchange: Exchange) -> None:
        exchange.send(200, b'{"data": [{"id": "m"}]}') if exchange.path == "/v1/models" else exchange.send(404, b"{}")

    server.behaviour = vllm
    found = await asyncio.to_thread(check_backend, asking(server, "vllm"), load_secrets({}, None))
    assert found is not None
    assert (found.api_key, found.tariff.describe()) == (None, "self-hosted, free (provider.prices)")
    for wrong in ("", "/v2"):
        with pytest.raises(ConfigError, match=rf"{wrong}/models was answered 404 and POST .* 404.* vllm prints http://localhost:8000/v1"):
            await asyncio.to_thread(check_backend, asking(server, "vllm", wrong), load_secrets({}, None))


async def test_a_key_that_is_wanted_and_not_set_is_named(server: FaultServer) -> None:
    async def closed(exchange: Exchange) -> None:
        exchange.send(401, b"{}")

    server.behaviour = closed
    with pytest.raises(MissingSecretError, match=r"no key was sent; set VLLM_API_KEY: GET http://.*/v1/models was answered 401"):
        await asyncio.to_thread(check_backend, asking(server, "vllm"), load_secrets({}, None))
    with pytest.raises(MissingSecretError, match=r"VLLM_API_KEY is not accepted; check the key: GET"):
        await asyncio.to_thread(check_backend, asking(server, "vllm"), load_secrets({"VLLM_API_KEY": KEY}, None))


async def test_a_proxy_stands_before_other_hosts_only_and_its_password_is_not_shown(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.send(502, b"")

    server.behaviour = refuse
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("//", "//user:proxy-password@"))
    chat = GroqChat(KEY, "https://llm.invalid/v1", 2)
    failure = await chat.complete(REQUEST, 10)
    await chat.aclose()
    assert isinstance(failure, TransportFailure)
    assert failure.kind == "not_sent"
    assert f"through the proxy {server.url}" in failure.message
    assert "proxy-password" not in failure.message
    assert [(exchange.method, exchange.path) for exchange in server.exchanges] == [("CONNECT", "llm.invalid:443")]
    assert server.exchanges[0].headers["proxy-authorization"].startswith("Basic ")
    assert "authorization" not in server.exchanges[0].headers, "the key is for the provider alone"


async def test_a_failure_of_tls_names_where_authorities_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with await asyncio.start_server(plain, "127.0.0.1", 0) as listener:
        chat = GroqChat(KEY, f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}", 2)
        failure = await chat.complete(REQUEST, 10)
        await chat.aclose()
    assert isinstance(failure, TransportFailure)
    assert failure.kind == "not_sent"
    assert failure.message.startswith("TLS: ")
    assert "SSL_CERT_FILE is not set" in failure.message


@pytest.mark.parametrize(
    ("url", "setting", "environ", "expected"),
    [
        ("https://h/v1", "environment", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://h/v1", "environment", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://h/v1", "environment", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://h/v1", "environment", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.lab.example/v1", "environment", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x, .lab.example"}, None),
        ("https://lab.example.com/v1", "environment", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "lab.example"}, "http://p:1"),
        ("https://h/v1", "environment", {"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, None),
        ("https://h/v1", "none", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://h/v1", "http://q:2", {"HTTPS_PROXY": "http://p:1"}, "http://q:2"),
        ("http://localhost:8000/v1", "http://q:2", {}, None),
        ("http://127.0.0.1:8000/v1", "environment", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://[::1]:8000/v1", "environment", {"HTTP_PROXY": "http://p:1"}, None),
    ],
)
def test_which_proxy_is_used(url: str, setting: str, environ: dict[str, str], expected: str | None) -> None:
    assert proxy_for(url, setting, environ) == expected


def test_a_proxy_of_another_kind_is_refused_without_its_address() -> None:
    with pytest.raises(ConfigError, match="only proxies of http are used, and the environment names one of socks5"):
        proxy_for("https://h/v1", "environment", {"HTTPS_PROXY": "socks5://u:p@h"})
