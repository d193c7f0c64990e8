"""The provider before a run starts: key, address, model, price, and whether the bounds of an answer fit. Nothing is paid."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import NamedTuple

from helix_ray.backends.chat import TransportFailure
from helix_ray.backends.groq_client import GroqChat
from helix_ray.config import Backend, Config
from helix_ray.environment.secrets import Secret, Secrets
from helix_ray.errors import ConfigError, MissingSecretError, StartError
from helix_ray.providers.model_catalog import catalog_tariff, read_catalog
from helix_ray.providers.prices import Tariff, tariff_of
from helix_ray.session.plan import START_DEADLINE_S


def check_key(config: Config, secrets: Secrets) -> Secret | None:
    """The API key for backend groq, the emulator's stand-in for the emulator, none for the aligner."""
    match config.analyzer.backend:
        case Backend.GROQ:
            if secrets.groq_api_key is None:
                raise MissingSecretError(
                    "analyzer.backend is groq, but GROQ_API_KEY is not set (placeholders of .env.example count as missing); "
                    "set it in the environment or in .env, or use analyzer.backend=emulator, which needs no key"
                )
            return secrets.groq_api_key
        case Backend.EMULATOR:
            return Secret("no-key-is-needed-here")
        case Backend.ALIGNER:
            return None


class Provider(NamedTuple):
    """The API that answers a run's requests, and its price."""

    api_key: Secret
    simulated: bool  # the answers are an emulator's
    tariff: Tariff


def check_backend(config: Config, secrets: Secrets) -> Provider | None:
    """None for the aligner. Price, key, model and address are known to be usable then; no completion is sent."""
    key = check_key(config, secrets)
    if key is None:
        return None
    if config.analyzer.backend.simulated:
        provider = Provider(key, True, tariff_of(config.analyzer.model))
    else:
        provider = asyncio.run(_ask_provider(key, config))
    check_completion(config, provider.tariff)
    return provider


async def _ask_provider(key: Secret, config: Config) -> Provider:
    """GET /models, which is free: is the model there, what does it cost, and is an address of the user's own an emulator?"""
    base_url, model = config.analyzer.base_url, config.analyzer.model
    chat = GroqChat(key.reveal(), base_url, connections=1)
    try:
        reply = await chat.models(timeout_s=START_DEADLINE_S / 2)
    finally:
        await chat.aclose()
    where = base_url or "api.groq.com"
    if isinstance(reply, TransportFailure):
        problem = f"{where} does not answer ({reply.error_kind}: {reply.message}); is the {'server up' if base_url else 'network up'}?"
        raise ConfigError("analyzer.base_url", [problem])
    simulated = reply.headers.get("server", "").startswith("helix-emulator")
    if reply.status in (401, 403):
        raise MissingSecretError(f"GROQ_API_KEY is not accepted: GET /models at {where} was answered {reply.status}; check the key")
    if reply.status in _NO_LIST:
        return Provider(key, simulated, tariff_of(model))
    if reply.status != 200:
        raise StartError(f"GET /models at {where} was answered {reply.status}, so the price of {model} is not known; try again later")
    return Provider(key, simulated, catalog_tariff(model, read_catalog(reply.body)))


_NO_LIST = (404, 405, 501)
"""A compatible server need not list its models; then the table knows the price, or there is none."""


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
