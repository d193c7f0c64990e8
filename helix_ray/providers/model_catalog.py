"""What a provider's ``GET /models`` says: which models there are, what they cost, how much they write."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from helix_ray.errors import ConfigError, StartError
from helix_ray.providers.outside_text import strict_json
from helix_ray.providers.prices import ModelPrice, Tariff, known_tariff, price_version

PRICING: Final = {"prompt": "prompt", "completion": "completion", "input_cache_read": "cached"}
"""What ``pricing`` of GET /models calls the prices of prices.json. Its values are US dollars per token, as text."""

Offers = dict[str, dict[str, Any]]


def offered_models(body: bytes) -> Offers:
    """What GET /models lists, by id; StartError when the body is no such list."""
    try:
        data = strict_json(body)
        return {str(entry["id"]): entry for entry in data["data"]}
    except (ValueError, LookupError, TypeError):
        raise StartError(f"GET /models was answered with something else than a list of models: {body[:120]!r}") from None


def offered_tariff(model: str, offers: Offers) -> Tariff:
    """What the model costs by the provider's word, and by prices.json where the provider is silent.

    ConfigError: the model is not offered, a price is no amount, or nobody names one.
    """
    if model not in offers:
        raise ConfigError("analyzer.model", [f"'{model}' is not offered; offered: {', '.join(sorted(offers)) or 'no model at all'}"])
    entry, known = offers[model], known_tariff(model)
    pricing = entry.get("pricing")
    named = {PRICING[name]: _amount(model, name, value) for name, value in _named(pricing).items()}
    if {"prompt", "completion"} <= named.keys():
        price = ModelPrice(named["prompt"], named.get("cached", _cached(named["prompt"], known)), named["completion"])
        source = "GET /models"
    elif known is not None:
        price, source = known.price, known.source
    else:
        problem = f"neither GET /models nor prices.json of {price_version()} names a price for '{model}', so no budget could hold"
        raise ConfigError("analyzer.model", [problem])
    return Tariff(price, _limit(entry, known), source)


def _named(pricing: object) -> Mapping[str, object]:
    if not isinstance(pricing, dict):
        return {}
    return {name: pricing[name] for name in PRICING if pricing.get(name) is not None}


def _amount(model: str, name: str, value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ConfigError("analyzer.model", [f"GET /models names a price for '{model}' that is none: {name} {str(value)[:40]!r}"])
    return amount


def _cached(prompt: Decimal, known: Tariff | None) -> Decimal:
    """Where no price of cached input is named: the table's if the table is right about the prompt, else no discount is counted on."""
    return known.price.cached if known is not None and known.price.prompt == prompt else prompt


def _limit(entry: Mapping[str, Any], known: Tariff | None) -> int | None:
    value = entry.get("max_completion_tokens", entry.get("max_output_length"))
    if type(value) is int and value > 0:
        return value
    return None if known is None else known.completion_limit
