"""What tokens cost: by the configuration, or Groq's by the dated table in prices.json. Money is Decimal US dollars throughout."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from helix_ray.config.provider import Prices, ProviderConfig
from helix_ray.errors import ConfigError
from helix_ray.records import TokenUsage

CONFIGURED = "provider.prices"
"""The source of a tariff that the configuration names."""

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
        if not any(self.price):
            return f"self-hosted, free ({self.source})" if self.source == CONFIGURED else f"free ({self.source})"
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
        raise no_price(model, f"priced on {price_version()}: {', '.join(dated_table(_FILE)['models'])}")
    return tariff


def expected_tariff(model: str, provider: ProviderConfig) -> Tariff:
    """Without asking the provider: as configured, or for Groq by the table. ConfigError: neither knows a price."""
    if provider.prices is not None:
        return configured_tariff(provider.prices)
    if provider.name == "groq":
        return tariff_of(model)
    raise no_price(model, f"prices.json of {price_version()} has those of groq alone, and the provider is {provider.name}")


def configured_tariff(prices: Prices) -> Tariff:
    amounts = (prices.prompt, prices.prompt if prices.cached is None else prices.cached, prices.completion)
    return Tariff(ModelPrice(*(Decimal(str(amount)) / _MILLION for amount in amounts)), None, CONFIGURED)


def no_price(model: str, known: str) -> ConfigError:
    """``known``: where was looked. It shows the lines to add."""
    lines = "provider:\n  prices: {prompt: 0, completion: 0}    # US dollars per million tokens; 0: self-hosted, free"
    problem = f"no price is known for '{model}', so no budget could hold; {known}. Add what it costs to the configuration:\n{lines}"
    return ConfigError("analyzer.model", [problem])


def cost_usd(price: ModelPrice, usage: TokenUsage) -> Decimal:
    return (usage.prompt - usage.cached) * price.prompt + usage.cached * price.cached + usage.completion * price.completion


def worst_case_usd(price: ModelPrice, prompt_ceiling: int, max_completion_tokens: int) -> Decimal:
    """What a call can cost at most: nothing cached, every completion token used. ``prompt_ceiling`` must be a bound."""
    return prompt_ceiling * price.prompt + max_completion_tokens * price.completion
