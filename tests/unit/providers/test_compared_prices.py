"""Prices of the table beside those that the provider names."""

from __future__ import annotations

import pytest

from helix_ray.cli.doctor import check_price
from helix_ray.config import Config
from helix_ray.emulator.published import MODELS, models_body
from helix_ray.errors import StartError
from helix_ray.providers.model_catalog import compare_prices, read_catalog

MODEL = "openai/gpt-oss-20b"


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
