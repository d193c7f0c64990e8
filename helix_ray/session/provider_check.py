"""The provider before a run starts: key, address, model, price, and whether the bounds of an answer fit. Nothing is paid.

A run and ``helix doctor`` ask here, so that they say the same.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import NamedTuple

from helix_ray.backends.chat import HttpReply, TransportFailure
from helix_ray.backends.groq_client import CHAT, MODELS, GroqChat, open_chat
from helix_ray.config import Backend, Config
from helix_ray.config.provider import ADDRESSES
from helix_ray.environment.logs import visible
from helix_ray.environment.secrets import Secret, Secrets
from helix_ray.errors import ConfigError, MissingSecretError, StartError
from helix_ray.providers.dialects import dialect_of
from helix_ray.providers.groq.errors import read_error
from helix_ray.providers.model_catalog import catalog_tariff, read_catalog
from helix_ray.providers.prices import Tariff, expected_tariff
from helix_ray.session.plan import START_DEADLINE_S

_NO_LIST = (404, 405, 501)
"""A compatible server need not list its models."""


def check_key(config: Config, secrets: Secrets) -> Secret | None:
    """The provider's API key, the emulator's stand-in for one; None: there is none, and none is needed."""
    match config.analyzer.backend:
        case Backend.GROQ:
            dialect = dialect_of(config.provider)
            key = None if dialect.key is None else secrets.api_key(dialect.key)
            if key is None and dialect.needs_key:
                raise MissingSecretError(
                    f"analyzer.backend is groq and the provider {dialect.name}, but {dialect.key} is not set (placeholders of .env.example "
                    "count as missing); set it in the environment or in .env, or use analyzer.backend=emulator, which needs no key"
                )
            return key
        case Backend.EMULATOR:
            return Secret("no-key-is-needed-here")
        case Backend.ALIGNER:
            return None


class Provider(NamedTuple):
    """The API that answers a run's requests, and its price."""

    api_key: Secret | None
    simulated: bool  # the answers are an emulator's
    tariff: Tariff
    found: str = ""  # what was asked, and what it said


def check_backend(config: Config, secrets: Secrets) -> Provider | None:
    """None for the aligner. Price, key, model and address are known to be usable then; no completion is sent."""
    if not config.analyzer.backend.asks_an_api:
        return None
    key = check_key(config, secrets)
    if config.analyzer.backend.simulated:
        provider = Provider(key, True, expected_tariff(config.analyzer.model, config.provider))
    else:
        provider = asyncio.run(ask_provider(config, key))
    check_completion(config, provider.tariff)
    return provider


async def ask_provider(config: Config, key: Secret | None, emulator_url: str | None = None) -> Provider:
    """GET /models, which is free: is the model there, what does it cost, and is an address of the user's own an emulator?

    ConfigError, MissingSecretError, StartError name what was asked and what it said.
    """
    model, chat = config.analyzer.model, open_chat(config, key, 1, emulator_url)
    asked = f"GET {chat.base_url}{MODELS}"
    try:
        reply = _answered(await chat.models(START_DEADLINE_S / 2), asked, key, config)
        simulated = reply.headers.get("server", "").startswith("helix-emulator")
        if reply.status in _NO_LIST:
            found = f"{asked} was answered {reply.status}, so the model is not checked"
            if reply.status == 404:  # the path of the list may be wrong, or that of the whole address
                found += f"; {await _takes_requests(chat, asked, key, config)}"
            return Provider(key, simulated, expected_tariff(model, config.provider), found)
    finally:
        await chat.aclose()
    if reply.status != 200:
        said = visible(read_error(reply.body).message[:200])
        raise StartError(f"{asked} was answered {reply.status} ({said}), so it is not known whether {model} is offered; try again later")
    tariff = catalog_tariff(model, read_catalog(reply.body, asked), config.provider)
    return Provider(key, simulated, tariff, f"{asked}: {model} is offered")


def _answered(reply: HttpReply | TransportFailure, asked: str, key: Secret | None, config: Config) -> HttpReply:
    if isinstance(reply, TransportFailure):
        problem = f"{asked} has no answer ({reply.error_kind}: {reply.message}); is the address right, the server up, and the network?"
        raise ConfigError("provider.base_url", [problem])
    if reply.status in (401, 403):
        name = dialect_of(config.provider).key or "the variable that provider.api_key_env names"
        what = f"no key was sent; set {name}" if key is None else f"{name} is not accepted; check the key"
        raise MissingSecretError(f"{what}: {asked} was answered {reply.status}")
    return reply


async def _takes_requests(chat: GroqChat, listing: str, key: Secret | None, config: Config) -> str:
    """What was found at a server that does not list its models. ConfigError: it takes no requests at this address either."""
    asked = f"POST {chat.base_url}{CHAT}"
    reply = _answered(await chat.knock(START_DEADLINE_S / 2), asked, key, config)
    if reply.status in _NO_LIST or 300 <= reply.status < 400:
        printed = ADDRESSES[config.provider.name]
        hint = f"; the documentation of {config.provider.name} prints {printed}" if printed else "; such an address often ends in /v1"
        problem = f"{listing} was answered 404 and {asked} {reply.status}, so no API for chat completions is at {chat.base_url}{hint}"
        raise ConfigError("provider.base_url", [problem])
    return f"{asked} takes requests (an empty one was answered {reply.status})"


def check_completion(config: Config, tariff: Tariff) -> None:
    """ConfigError: the model does not write so much in one answer, or the cap does not pay for one."""
    asked, limit = config.analyzer.max_completion_tokens, tariff.completion_limit
    if limit is not None and asked > limit:
        problem = f"{config.analyzer.model} gives at most {limit} completion tokens, found {asked}"
        raise ConfigError("analyzer.max_completion_tokens", [problem])
    cap, answer_usd = Decimal(str(config.throttle.max_cost_usd)), asked * tariff.price.completion
    if cap < answer_usd:
        problem = f"one answer of {asked} tokens (analyzer.max_completion_tokens) can cost ${answer_usd:f}, found a cap of ${cap:f}"
        raise ConfigError("throttle.max_cost_usd", [f"{problem}; raise the cap, or ask for shorter answers"])
