"""What tokens cost, from the dated table in prices.json. Money is Decimal US dollars throughout."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from helix_ray.errors import ConfigError
from helix_ray.records import TokenUsage

_FILE = "prices.json"
_MILLION = Decimal(1_000_000)


class ModelPrice(NamedTuple):
    """US dollars per token."""

    prompt: Decimal
    cached: Decimal  # prompt tokens that the provider had in its cache
    completion: Decimal  # reasoning included


class Tariff(NamedTuple):
    """What a run pays a token, and where that is known from."""

    price: ModelPrice
    completion_limit: int | None  # the most completion tokens that the model gives in one answer; None: not known
    source: str

    def describe(self) -> str:
        shown = [f"{part} {per_million(amount)}" for part, amount in self.price._asdict().items()]
        return f"{', '.join(shown)} per million tokens ({self.source})"


def per_million(usd_per_token: Decimal) -> str:
    return f"${(usd_per_token * _MILLION).normalize():f}"


@cache
def dated_table(file: str) -> dict[str, Any]:
    """A table of this package: ``version``, its date, and ``models``, a row each."""
    table: dict[str, Any] = json.loads(files("helix_ray.providers").joinpath(file).read_text("utf-8"))
    return table


def price_version() -> str:
    return str(dated_table(_FILE)["version"])


@cache
def known_tariff(model: str) -> Tariff | None:
    """As the table has it; None when it does not know the model."""
    row = dated_table(_FILE)["models"].get(model)
    if row is None:
        return None
    price = ModelPrice(*(Decimal(row[part]) / _MILLION for part in ModelPrice._fields))
    return Tariff(price, int(row["max_completion_tokens"]), f"prices.json of {price_version()}")


def tariff_of(model: str) -> Tariff:
    """As the table has it; ConfigError when it does not know the model, since a budget cannot hold without a price."""
    tariff = known_tariff(model)
    if tariff is None:
        priced = ", ".join(dated_table(_FILE)["models"])
        problem = f"no price is known for '{model}', so no budget could hold; priced on {price_version()}: {priced}"
        raise ConfigError("analyzer.model", [problem])
    return tariff


def cost_usd(price: ModelPrice, usage: TokenUsage) -> Decimal:
    return (usage.prompt - usage.cached) * price.prompt + usage.cached * price.cached + usage.completion * price.completion


def worst_case_usd(price: ModelPrice, prompt_ceiling: int, max_completion_tokens: int) -> Decimal:
    """What a call can cost at most: nothing cached, every completion token used. ``prompt_ceiling`` must be a bound."""
    return prompt_ceiling * price.prompt + max_completion_tokens * price.completion
