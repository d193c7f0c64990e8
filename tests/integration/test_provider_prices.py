"""What a run asks its provider before it starts: GET /models, for the price, the model and the key."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from helix_ray.config import Config
from helix_ray.emulator.published import models_body
from helix_ray.environment.secrets import Secret, Secrets
from helix_ray.errors import ConfigError, MissingSecretError, StartError
from helix_ray.providers.prices import tariff_of
from helix_ray.session.provider_check import Provider, check_backend
from support.fault_server import Exchange, FaultServer

MODEL = "openai/gpt-oss-20b"


@dataclass
class Models:
    """Answers every request alike."""

    status: int = 200
    body: bytes = field(default_factory=models_body)
    server: str = "somebody"
    at_chat: int = 404

    async def __call__(self, exchange: Exchange) -> None:
        exchange.send(self.status if exchange.method == "GET" else self.at_chat, self.body, {"server": self.server})


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Models, FaultServer]]:
    models = Models()
    async with FaultServer(models) as running:
        yield models, running


async def ask(server: FaultServer, **analyzer: Any) -> Provider:
    config = Config.model_validate({"analyzer": {"backend": "groq", "base_url": server.url, **analyzer}})
    found = await asyncio.to_thread(check_backend, config, Secrets(groq_api_key=Secret("gsk_key")))
    assert found is not None
    assert (server.exchanges[0].method, server.exchanges[0].path) == ("GET", "/openai/v1/models")
    return found


async def test_the_price_of_the_day_wins_over_the_table(provider: tuple[Models, FaultServer]) -> None:
    models, server = provider
    pricing = {"prompt": "0.0000002", "completion": "0.0000008", "input_cache_read": "0.0000001"}
    models.body = json.dumps({"data": [{"id": MODEL, "pricing": pricing, "max_completion_tokens": 600}]}).encode()
    found = await ask(server)
    assert (found.tariff.price.prompt, found.tariff.source, found.simulated) == (Decimal("2E-7"), "GET /models", False)
    with pytest.raises(ConfigError, match="gives at most 600 completion tokens, found 601"):
        await ask(server, max_completion_tokens=601)


async def test_an_emulator_is_known_by_its_word(provider: tuple[Models, FaultServer]) -> None:
    models, server = provider
    models.server = "helix-emulator"
    assert (await ask(server)).simulated is True


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_without_a_list_is_paid_by_the_table_if_it_takes_requests(status: int, provider: tuple[Models, FaultServer]) -> None:
    models, server = provider
    models.status, models.at_chat = status, 400
    found = await ask(server)
    assert found.tariff == tariff_of(MODEL)
    assert f"/models was answered {status}, so the model is not checked" in found.found
    asked = [(each.method, each.path, each.body) for each in server.exchanges]
    assert asked == [("GET", "/openai/v1/models", b""), ("POST", "/openai/v1/chat/completions", b"{}")][: 2 if status == 404 else 1]
    with pytest.raises(ConfigError, match="no price is known for 'nobody/knows'"):
        await ask(server, model="nobody/knows")


async def test_a_wrong_path_is_refused_with_what_was_tried(provider: tuple[Models, FaultServer]) -> None:
    """A list of models that is not there proves nothing about the rest of the address."""
    models, server = provider
    models.status = 404
    tried = r"GET http://\S+/wrong/models was answered 404 and POST http://\S+/wrong/chat/completions 404, .* prints https://api.groq.com/"
    with pytest.raises(ConfigError, match=tried):
        await ask(server, base_url=f"{server.url}/wrong")


async def test_a_model_that_is_not_there_is_named_with_those_that_are(provider: tuple[Models, FaultServer]) -> None:
    with pytest.raises(ConfigError, match=r"'openai/gone' is not offered; offered: openai/gpt-oss-120b, openai/gpt-oss-20b") as caught:
        await ask(provider[1], model="openai/gone")
    assert caught.value.exit_code == 2


async def test_a_model_without_a_price_does_not_start(provider: tuple[Models, FaultServer]) -> None:
    models, server = provider
    models.body = json.dumps({"data": [{"id": "new/model"}]}).encode()
    with pytest.raises(ConfigError, match="no price is known for 'new/model', so no budget could hold; GET /models names none"):
        await ask(server, model="new/model")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_not_accepted_does_not_start(status: int, provider: tuple[Models, FaultServer]) -> None:
    models, server = provider
    models.status = status
    with pytest.raises(MissingSecretError, match=f"GROQ_API_KEY is not accepted; check the key: GET http.* was answered {status}"):
        await ask(server)


@pytest.mark.parametrize(("status", "body"), [(503, b'{"error": {"message": "Loading model"}}'), (429, b"{}"), (200, b"<html>")])
async def test_no_list_is_no_start(status: int, body: bytes, provider: tuple[Models, FaultServer]) -> None:
    models, server = provider
    models.status, models.body = status, body
    said = r" 503 \(Loading model\), so it is not known whether openai/gpt-oss-20b is offered" if status == 503 else ""
    with pytest.raises(StartError, match=rf"GET http://.*/models was answered{said}"):
        await ask(server)


async def test_a_server_that_is_down_is_named(provider: tuple[Models, FaultServer]) -> None:
    async def reset(exchange: Exchange) -> None:
        exchange.reset()

    provider[1].behaviour = reset
    with pytest.raises(ConfigError, match=r"provider\.base_url: GET http://127\.0\.0\.1:\d+/openai/v1/models has no answer \(reset: "):
        await ask(provider[1])
