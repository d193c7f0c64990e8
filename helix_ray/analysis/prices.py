"""What tokens cost, from the dated table in prices.json. Money is Decimal US dollars throughout."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from helix_ray.errors import ConfigError
from helix_ray.records import TokenUsage

_MILLION = Decimal(1_000_000)


class ModelPrice(NamedTuple):
    """US dollars per token."""

    prompt: Decimal
    cached: Decimal  # prompt tokens that the provider had in its cache
    completion: Decimal  # reasoning included


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("helix_ray.analysis").joinpath("prices.json").read_text("utf-8"))
    return table


def price_version() -> str:
    """The date of the price table."""
    return str(_table()["version"])


@cache
def price_of(model: str) -> ModelPrice:
    """The model's price; ConfigError when it is unknown, since a budget cannot hold without a price."""
    models: dict[str, dict[str, Any]] = _table()["models"]
    row = models.get(model)
    if row is None:
        problem = f"no price is known for '{model}', so no budget could hold; priced on {price_version()}: {', '.join(models)}"
        raise ConfigError("analyzer.model", [problem])
    return ModelPrice(*(Decimal(row[part]) / _MILLION for part in ModelPrice._fields))


def completion_limit(model: str) -> int:
    """The most completion tokens that the model gives in one answer; ConfigError as `price_of`."""
    price_of(model)
    return int(_table()["models"][model]["max_completion_tokens"])


def cost_usd(price: ModelPrice, usage: TokenUsage) -> Decimal:
    """What a call with this usage costs."""
    return (usage.prompt - usage.cached) * price.prompt + usage.cached * price.cached + usage.completion * price.completion


def worst_case_usd(price: ModelPrice, prompt_ceiling: int, max_completion_tokens: int) -> Decimal:
    """What a call can cost at most: nothing cached, every completion token used. ``prompt_ceiling`` must be a bound."""
    return prompt_ceiling * price.prompt + max_completion_tokens * price.completion
