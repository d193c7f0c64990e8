"""Prices: the provider's first, else those of the table, and a comparison of both."""

from decimal import Decimal
from typing import Any

import pytest

from helix_ray.cli.doctor import check_price
from helix_ray.config import Config
from helix_ray.emulator.published import MODELS, models_body
from helix_ray.errors import ConfigError, StartError
from helix_ray.providers.model_catalog import catalog_tariff, compare_prices, read_catalog
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
    assert tariff.describe() == "prompt $0.1, cached $0.02, completion $0.4 per million tokens (GET /models)"


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


@pytest.mark.parametrize("model", MODELS)
def test_the_table_has_the_prices_of_the_emulator(model: str) -> None:
    pricing = compare_prices(model, read_catalog(models_body())[model])
    assert "prompt $" in pricing.seen
    assert not pricing.differences


def test_a_difference_says_both_prices() -> None:
    offered = {MODEL: {"id": MODEL, "pricing": {"prompt": "0.000000075", "completion": "0.0000006", "image": "0"}}}
    (difference,) = compare_prices(MODEL, offered[MODEL]).differences
    assert difference.startswith("completion: $0.6 at the provider, $0.3 in prices.json")
    with pytest.raises(StartError, match=r"another price now.*completion: \$0\.6 at the provider, \$0\.3 in prices\.json"):
        check_price(Config(), offered)


@pytest.mark.parametrize("price", ["cheap", "NaN", "sNaN", "Infinity", {}, []])
def test_a_price_that_is_no_number_differs(price: object) -> None:
    assert len(compare_prices(MODEL, {"pricing": {"prompt": price}}).differences) == 1


@pytest.mark.parametrize("entry", [{}, {"pricing": None}, {"pricing": "free"}, {"pricing": {}}, {"pricing": {"prompt": None}}])
def test_what_is_not_named_is_not_compared(entry: dict[str, object]) -> None:
    assert compare_prices(MODEL, entry).seen == ""
    assert "no price to compare" in check_price(Config(), {MODEL: entry})


def test_a_provider_that_could_not_be_asked_is_named() -> None:
    assert "could not be asked" in check_price(Config(), {})


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": 1}', b'{"data": [1]}', b'{"data": [{}]}', b"\xff"])
def test_a_list_of_models_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(StartError, match="something else than a list of models"):
        read_catalog(body)
