"""Prices: the provider's first, else those of the table, and a comparison of both."""

from decimal import Decimal
from typing import Any

import pytest

from helix_ray.config.provider import Prices, ProviderConfig
from helix_ray.emulator.published import MODELS, models_body
from helix_ray.errors import ConfigError, StartError
from helix_ray.providers.model_catalog import catalog_tariff, read_catalog
from helix_ray.providers.prices import ModelPrice, expected_tariff, tariff_of

MODEL = "openai/gpt-oss-20b"
FREE, VLLM = Prices(prompt=0, completion=0), ProviderConfig(name="vllm")


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


def test_a_servers_context_bounds_an_answer() -> None:
    assert catalog_tariff("mine", offer("mine", max_model_len=8192), VLLM.model_copy(update={"prices": FREE})).completion_limit == 8192


def test_a_model_without_a_price_is_refused() -> None:
    with pytest.raises(ConfigError, match="no price is known for 'new/model', so no budget could hold; GET /models names none"):
        catalog_tariff("new/model", offer("new/model"))


def test_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"analyzer\.model: 'gone' is not offered; offered: a, b"):
        catalog_tariff("gone", offer("b") | offer("a"))


@pytest.mark.parametrize("price", ["cheap", "NaN", "Infinity", "-0.1", {}, [], True])
def test_a_price_that_is_no_amount_is_refused(price: object) -> None:
    with pytest.raises(ConfigError, match="names a price for 'openai/gpt-oss-20b' that is none: completion"):
        catalog_tariff(MODEL, offer(pricing={"prompt": "0.1", "completion": price}))


def test_what_the_configuration_says_wins_and_nothing_is_free_unless_it_says_so() -> None:
    free = ProviderConfig(name="vllm", prices=FREE)
    offers = offer(pricing={"prompt": "0.0000002", "completion": "0.0000008"}, max_completion_tokens=900)
    tariff = catalog_tariff(MODEL, offers, free)
    assert (tariff.price, tariff.completion_limit) == (ModelPrice(Decimal(0), Decimal(0), Decimal(0)), 900)
    assert tariff.describe() == expected_tariff(MODEL, free).describe() == "self-hosted, free (provider.prices)"
    lines = r"(?s)no price is known for 'openai/gpt-oss-20b'.*\nprovider:\n  prices: \{prompt: 0, completion: 0\} .*0: self-hosted, free"
    for ask in (
        lambda: catalog_tariff(MODEL, offer(), ProviderConfig(name="vllm")),
        lambda: expected_tariff(MODEL, ProviderConfig(name="vllm")),
    ):
        with pytest.raises(ConfigError, match=lines):
            ask()


def test_cached_tokens_cost_what_others_do_unless_a_price_is_named() -> None:
    prices = [
        expected_tariff("any", ProviderConfig(prices=Prices(prompt=0.4, completion=1.6, cached=cached))).price for cached in (None, 0.1)
    ]
    assert [price.cached for price in prices] == [Decimal("4E-7"), Decimal("1E-7")]


def test_a_model_without_its_tag_is_found_and_a_long_list_is_shown_in_part() -> None:
    assert catalog_tariff("llama3", offer("llama3:latest"), ProviderConfig(prices=FREE)).source == "provider.prices"
    many = {name: {} for name in [f"vendor/model-{number}" for number in range(300)]}
    with pytest.raises(ConfigError, match=r"is not offered; offered: (vendor/model-\d+, ){11}vendor/model-\d+, and 288 more"):
        catalog_tariff("vendor/model-x", many)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": 1}', b'{"data": [1]}', b'{"data": [{}]}', b"\xff"])
def test_a_list_of_models_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(StartError, match="something else than a list of models"):
        read_catalog(body)
