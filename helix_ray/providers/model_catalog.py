"""What a provider's ``GET /models`` says: which models there are, what they cost, how much they write."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from helix_ray.errors import ConfigError, StartError
from helix_ray.providers.outside_text import strict_json
from helix_ray.providers.prices import ModelPrice, Tariff, known_tariff, per_million, price_version, tariff_of

ModelCatalog = dict[str, dict[str, Any]]
"""The entries of the list, by model."""

_PRICING: Final = {"prompt": "prompt", "completion": "completion", "input_cache_read": "cached"}
"""What ``pricing`` of GET /models calls the prices of prices.json. Its values are US dollars per token, as text."""


def read_catalog(body: bytes) -> ModelCatalog:
    """StartError when the body is no list of models."""
    try:
        data = strict_json(body)
        return {str(entry["id"]): entry for entry in data["data"]}
    except (ValueError, LookupError, TypeError):
        raise StartError(f"GET /models was answered with something else than a list of models: {body[:120]!r}") from None


def catalog_tariff(model: str, catalog: ModelCatalog) -> Tariff:
    """What the model costs by the provider's word, and by prices.json where the provider is silent.

    ConfigError: the model is not offered, a price is no amount, or neither names one.
    """
    if model not in catalog:
        raise ConfigError("analyzer.model", [f"'{model}' is not offered; offered: {', '.join(sorted(catalog)) or 'no model at all'}"])
    entry, known = catalog[model], known_tariff(model)
    named = {_PRICING[name]: _amount(model, name, value) for name, value in _named(entry).items()}
    if {"prompt", "completion"} <= named.keys():
        price = ModelPrice(named["prompt"], named.get("cached", _cached(named["prompt"], known)), named["completion"])
        source = "GET /models"
    elif known is not None:
        price, source = known.price, known.source
    else:
        problem = f"neither GET /models nor prices.json of {price_version()} names a price for '{model}', so no budget could hold"
        raise ConfigError("analyzer.model", [problem])
    return Tariff(price, _limit(entry, known), source)


class Pricing(NamedTuple):
    """The prices that GET /models names beside those of prices.json, in dollars per million tokens."""

    seen: str  # "" when it names none
    differences: tuple[str, ...]


def compare_prices(model: str, entry: Mapping[str, Any]) -> Pricing:
    """``entry``: the model's. A price that it does not name is not compared."""
    price, seen, differences = tariff_of(model).price._asdict(), [], []
    for name, value in _named(entry).items():
        theirs, ours = _decimal(value), price[_PRICING[name]]
        shown = per_million(theirs) if theirs.is_finite() else repr(str(value)[:20])
        seen.append(f"{name} {shown}")
        if not theirs.is_finite() or theirs != ours:
            differences.append(f"{name}: {shown} at the provider, {per_million(ours)} in prices.json of {price_version()}")
    return Pricing(f"{', '.join(seen)} per million tokens" if seen else "", tuple(differences))


def _named(entry: Mapping[str, Any]) -> dict[str, object]:
    pricing = entry.get("pricing")
    return {name: pricing[name] for name in _PRICING if pricing.get(name) is not None} if isinstance(pricing, dict) else {}


def _decimal(value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return Decimal("NaN")


def _amount(model: str, name: str, value: object) -> Decimal:
    amount = _decimal(value)
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
