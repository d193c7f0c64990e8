"""Prices: by the provider's word first, by the table else, and never by nobody's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from helix_ray.emulator.published import MODELS, models_body
from helix_ray.errors import ConfigError
from helix_ray.providers.model_catalog import catalog_tariff, read_catalog
from helix_ray.providers.prices import ModelPrice, tariff_of

MODEL = "openai/gpt-oss-20b"


def offer(model: str = MODEL, **entry: Any) -> dict[str, dict[str, Any]]:
    return {model: {"id": model, **entry}}


@pytest.mark.parametrize("model", MODELS)
def test_the_live_shape_is_read(model: str) -> None:
    tariff = catalog_tariff(model, read_catalog(models_body()))
    known = tariff_of(model)
    assert (tariff.price, tariff.completion_limit) == (known.price, known.completion_limit)
    assert (tariff.source, known.source) == ("GET /models", "prices.json of 2026-11-23")


def test_a_price_that_is_named_wins_over_the_table() -> None:
    offers = offer(pricing={"prompt": "0.0000001", "completion": "0.0000004", "input_cache_read": "0.00000002"}, max_completion_tokens=900)
    tariff = catalog_tariff(MODEL, offers)
    assert tariff.price == ModelPrice(Decimal("1E-7"), Decimal("2E-8"), Decimal("4E-7"))
    assert tariff.completion_limit == 900
    assert tariff.words() == "prompt $0.1, cached $0.02, completion $0.4 per million tokens (GET /models)"


def test_a_new_model_needs_no_table() -> None:
    tariff = catalog_tariff("new/model", offer("new/model", pricing={"prompt": "0.000001", "completion": "0"}))
    assert tariff.price == ModelPrice(Decimal("0.000001"), Decimal("0.000001"), Decimal(0)), "no discount that nobody named"
    assert tariff.completion_limit is None


@pytest.mark.parametrize(("prompt", "cached"), [("0.000000075", "0.0000000375"), ("0.0000001", "0.0000001")])
def test_the_tables_price_of_cached_input_counts_only_where_the_table_is_right(prompt: str, cached: str) -> None:
    assert catalog_tariff(MODEL, offer(pricing={"prompt": prompt, "completion": "0.0000003"})).price.cached == Decimal(cached)


@pytest.mark.parametrize("entry", [{}, {"pricing": None}, {"pricing": "free"}, {"pricing": {}}, {"pricing": {"prompt": "0.1"}}])
def test_where_the_provider_is_silent_the_table_speaks(entry: dict[str, object]) -> None:
    assert catalog_tariff(MODEL, offer(**entry)) == tariff_of(MODEL)


def test_a_model_without_a_price_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"neither GET /models nor prices\.json of 2026-11-23 names a price for 'new/model'"):
        catalog_tariff("new/model", offer("new/model"))


def test_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"analyzer\.model: 'gone' is not offered; offered: a, b"):
        catalog_tariff("gone", offer("b") | offer("a"))


@pytest.mark.parametrize("price", ["cheap", "NaN", "Infinity", "-0.1", {}, [], True])
def test_a_price_that_is_no_amount_is_refused(price: object) -> None:
    with pytest.raises(ConfigError, match="names a price for 'openai/gpt-oss-20b' that is none: completion"):
        catalog_tariff(MODEL, offer(pricing={"prompt": "0.1", "completion": price}))
