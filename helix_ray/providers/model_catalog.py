"""What a provider's ``GET /models`` says: which models there are, what they cost, how much they write."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from helix_ray.config.provider import ProviderConfig
from helix_ray.errors import ConfigError, StartError
from helix_ray.providers.outside_text import strict_json
from helix_ray.providers.prices import ModelPrice, Tariff, configured_tariff, known_tariff, no_price

ModelCatalog = dict[str, dict[str, Any]]
"""The entries of the list, by model."""

GROQ: Final = ProviderConfig()
SHOWN: Final = 12  # models that an error names
_PRICING: Final = {"prompt": "prompt", "completion": "completion", "input_cache_read": "cached"}
"""What ``pricing`` of GET /models calls the prices of prices.json. Its values are US dollars per token, as text."""


def read_catalog(body: bytes, asked: str = "GET /models") -> ModelCatalog:
    """StartError when the body is no list of models."""
    try:
        data = strict_json(body)
        return {str(entry["id"]): entry for entry in data["data"]}
    except (ValueError, LookupError, TypeError):
        raise StartError(f"{asked} was answered with something else than a list of models: {body[:120]!r}") from None


def catalog_tariff(model: str, catalog: ModelCatalog, provider: ProviderConfig = GROQ) -> Tariff:
    """What the model costs: as configured, else by the provider's word, else for Groq by prices.json.

    ConfigError: the model is not offered, a price is no amount, or nobody names one.
    """
    entry = catalog.get(model, catalog.get(f"{model}:latest"))  # as Ollama lists a model that has no tag
    if entry is None:
        near = difflib.get_close_matches(model, catalog, SHOWN, 0.0) if len(catalog) > SHOWN else sorted(catalog)
        more = f", and {len(catalog) - SHOWN} more" if len(catalog) > SHOWN else ""
        raise ConfigError("analyzer.model", [f"'{model}' is not offered; offered: {', '.join(near) or 'no model at all'}{more}"])
    known = known_tariff(model) if provider.name == "groq" else None
    named = {_PRICING[name]: _amount(model, name, value) for name, value in _named(entry).items()}
    if provider.prices is not None:
        price, _, source = configured_tariff(provider.prices)
    elif {"prompt", "completion"} <= named.keys():
        price = ModelPrice(named["prompt"], named.get("cached", _cached(named["prompt"], known)), named["completion"])
        source = "GET /models"
    elif known is not None:
        price, source = known.price, known.source
    else:
        raise no_price(model, "GET /models names none")
    return Tariff(price, _limit(entry, known), source)


def _named(entry: Mapping[str, Any]) -> dict[str, object]:
    pricing = entry.get("pricing")
    return {name: pricing[name] for name in _PRICING if pricing.get(name) is not None} if isinstance(pricing, dict) else {}


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
    meta = entry.get("meta")
    places = (entry, "max_completion_tokens"), (entry, "max_output_length"), (entry, "max_model_len"), (meta, "n_ctx")
    named = (place.get(name) for place, name in places if isinstance(place, dict))  # the last two, vLLM's and llama.cpp's: the context
    value = next((each for each in named if each is not None), None)
    if type(value) is int and value > 0:
        return value
    return None if known is None else known.completion_limit
