"""`helix doctor --probe` against a provider that gives up half-way: what was paid for is shown."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helix_ray.cli.doctor import UnfinishedCheckError, probe
from helix_ray.emulator.published import models_body
from helix_ray.errors import StartError
from support.fault_server import Exchange, FaultServer

MODEL = "openai/gpt-oss-20b"
ANSWER = {
    "choices": [{"message": {"content": '{"id": "x", "calls": []}'}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 40},
}
COST = "$0.000035"  # 300 tokens at $0.075 and 40 at $0.30 a million


class Provider:
    """Answers GET /models, and the first ``answers`` completions."""

    def __init__(self, answers: int) -> None:
        self.answers = answers

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.method == "GET":
            exchange.send(200, models_body())
        elif self.answers > 0:
            self.answers -= 1
            exchange.send(200, json.dumps(ANSWER).encode())
        else:
            exchange.send(503, b"gone")


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROQ_API_KEY", "gsk_any_key")
    monkeypatch.setenv("COLUMNS", "200")
    async with FaultServer(Provider(1)) as running:
        yield running


async def test_an_error_after_a_paid_request_leaves_what_was_seen(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    async def then_reset(exchange: Exchange) -> None:
        if exchange.method == "POST" and sum(past.method == "POST" for past in server.exchanges) > 1:
            exchange.reset()
        else:
            await provider(exchange)

    provider, server.behaviour = server.behaviour, then_reset
    with pytest.raises(UnfinishedCheckError, match="ended early: no answer") as caught:
        await asyncio.to_thread(probe, MODEL, server.url, True)
    assert caught.value.exit_code == 1
    shown = capsys.readouterr().out
    assert f"{MODEL} is offered" in shown
    assert "prices are those of prices.json" in shown
    assert "2 paid requests" in shown
    assert COST not in shown, "the request without an answer counts at its worst case"


async def test_a_first_request_that_is_refused_is_shown_too(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.behaviour = Provider(0)
    with pytest.raises(UnfinishedCheckError, match="answered 503"):
        await asyncio.to_thread(probe, MODEL, server.url, True)
    assert "1 paid request," in capsys.readouterr().out


async def test_nothing_sent_is_a_start_that_failed(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    async def closed(exchange: Exchange) -> None:
        exchange.send(503, b"")

    server.behaviour = closed
    with pytest.raises(StartError) as caught:
        await asyncio.to_thread(probe, MODEL, server.url, True)
    assert caught.value.exit_code == 2
    assert "paid requests" not in capsys.readouterr().out
