"""`helix doctor --probe`: one tiny completion, and what it shows about the provider's dialect."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from helix_ray.backends.probe import ASK, UnansweredError
from helix_ray.cli.doctor import probe
from helix_ray.errors import ConfigError, StartError
from support.fault_server import Exchange, FaultServer

SETTINGS = ["provider.name=vllm", "analyzer.model=mine", "provider.prices={prompt: 1, completion: 2}"]
GOOD = {
    "choices": [{"message": {"content": json.dumps({"id": ASK.opaque_id, "calls": []})}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 600, "completion_tokens": 40},
}


class Server:
    """Lists one model, and gives ``answer`` to every request for a completion."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | int | None = GOOD  # a status refuses, None resets the connection

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.method == "GET":
            exchange.send(200, b'{"data": [{"id": "mine"}]}')
        elif self.answer is None:
            exchange.reset()
        elif isinstance(self.answer, int):
            exchange.send(self.answer, b'{"error": {"message": "unknown parameter: seed"}}')
        else:
            exchange.send(200, json.dumps(self.answer).encode())


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Server, FaultServer]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    behaviour = Server()
    async with FaultServer(behaviour) as running:
        yield behaviour, running


async def asked(url: str) -> Any:
    """The exit code."""
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(probe, None, SETTINGS, None, f"{url}/v1", True)
    return ended.value.code


async def test_its_price_and_every_assumption_are_shown(server: tuple[Server, FaultServer], capsys: pytest.CaptureFixture[str]) -> None:
    assert await asked(server[1].url) == 0
    shown = capsys.readouterr().out
    assert "GET http://127.0.0.1" in shown
    assert "Prices: prompt $1, cached $1, completion $2 per million tokens (provider.prices)" in shown
    assert "it takes temperature, seed, response_format, max_tokens" in shown
    assert "structured output: json_schema is kept" in shown
    assert "none, as of most servers of one's own" in shown
    assert "1 completion, $0.000680 of $0.00" in shown
    assert "NO" not in shown
    assert [exchange.method for exchange in server[1].exchanges] == ["GET", "POST"]
    assert all(exchange.headers["user-agent"].startswith("AsyncGroq/") for exchange in server[1].exchanges)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (400, "400: unknown parameter: seed"),
        ({"choices": GOOD["choices"]}, "no usage: each request would count at its worst case"),
        ({**GOOD, "choices": [{"message": {"content": "Sure! None."}, "finish_reason": "stop"}]}, "parse_error"),
    ],
    ids=["a parameter", "usage", "structured output"],
)
async def test_an_assumption_that_does_not_hold_is_exit_1(
    answer: Any, fault: str, server: tuple[Server, FaultServer], capsys: pytest.CaptureFixture[str]
) -> None:
    server[0].answer = answer
    assert await asked(server[1].url) == 1
    shown = capsys.readouterr().out
    assert "NO" in shown
    assert fault in shown


async def test_another_id_keeps_the_form_and_no_code_of_a_terminal_is_shown(
    server: tuple[Server, FaultServer], capsys: pytest.CaptureFixture[str]
) -> None:
    server[0].answer = {**GOOD, "choices": [{"message": {"content": '{"id": "\x7f\x9b", "calls": []}'}, "finish_reason": "stop"}]}
    assert await asked(server[1].url) == 1
    shown = capsys.readouterr().out
    assert re.search("json_schema is kept +│ yes", shown)
    assert re.search("answer can be used +│ NO .*another read's id", shown)
    assert r'{"id": "\x7f\x9b"' in shown


async def test_an_answer_cut_off_at_the_bound_of_the_check_says_nothing_about_a_run(
    server: tuple[Server, FaultServer], capsys: pytest.CaptureFixture[str]
) -> None:
    server[0].answer = {**GOOD, "choices": [{"message": {"content": '{"id"'}, "finish_reason": "length"}]}
    assert await asked(server[1].url) == 0
    assert re.search("answer can be used +│ not seen │ cut off at 256 tokens, the bound of this check", capsys.readouterr().out)


async def test_no_answer_may_have_been_paid_and_nothing_sent_is_a_start_that_failed(server: tuple[Server, FaultServer]) -> None:
    server[0].answer = None
    with pytest.raises(UnansweredError, match=r"no answer \((reset|disconnected)\)") as caught:
        await asyncio.to_thread(probe, None, SETTINGS, None, server[1].url, True)
    assert caught.value.exit_code == 1
    with pytest.raises((StartError, ConfigError)) as refused:
        await asyncio.to_thread(probe, None, [*SETTINGS, "analyzer.model=another"], None, server[1].url, True)
    assert refused.value.exit_code == 2
    assert [exchange.method for exchange in server[1].exchanges] == ["GET", "POST", "GET"]


async def test_a_backend_that_asks_no_provider_is_refused() -> None:
    with pytest.raises(ConfigError, match="only backend groq asks a provider; the configuration has emulator"):
        await asyncio.to_thread(probe, None, ["analyzer.backend=emulator"], None, None, True)
