from __future__ import annotations

import random
from decimal import Decimal

import pytest

from helix_ray.analysis.prices import cost_usd, price_of, price_version, worst_case_usd
from helix_ray.analysis.prompts import get_prompt
from helix_ray.analysis.tokens import TOKENS_PER_BASE, TokenEstimator
from helix_ray.errors import ConfigError
from helix_ray.records import TokenUsage


def test_the_estimate_grows_by_the_measured_tokens_per_base() -> None:
    estimator = TokenEstimator(get_prompt("indexed10"))
    assert estimator.raw(1300) - estimator.raw(300) == pytest.approx(1000 * TOKENS_PER_BASE)
    assert estimator.estimate(300) >= estimator.raw(300)


def test_the_estimate_learns_and_stays_above_nearly_every_prompt() -> None:
    estimator, rng = TokenEstimator(get_prompt("indexed10")), random.Random(1)
    actual = [round(estimator.raw(300) * 0.8 * rng.uniform(0.99, 1.01)) for _ in range(500)]
    below = 0
    for index, tokens in enumerate(actual):
        below += index > 50 and estimator.estimate(300) < tokens
        estimator.observe(300, tokens)
    assert estimator.estimate(300) == pytest.approx(estimator.raw(300) * 0.8, rel=0.03)
    assert below <= 25


def test_nonsense_teaches_nothing() -> None:
    estimator = TokenEstimator(get_prompt("indexed10"))
    before = estimator.estimate(300)
    estimator.observe(300, 0)
    estimator.observe(300, -7)
    assert estimator.estimate(300) == before


@pytest.mark.parametrize("bases", [1, 150, 1000, 2000])
def test_the_ceiling_is_a_bound_even_if_every_character_were_a_token(bases: int) -> None:
    template = get_prompt("indexed10")
    estimator = TokenEstimator(template)
    text = template.user_text("0" * 16, "A" * bases, "C" * bases)
    assert estimator.ceiling(text) > len(template.system) + len(text)
    assert estimator.ceiling(text) > estimator.raw(2 * bases)
    assert estimator.ceiling(text + "é") - estimator.ceiling(text) == 2


def test_prices_are_exact_decimals() -> None:
    price = price_of("openai/gpt-oss-20b")
    assert (price.prompt, price.cached, price.completion) == (Decimal("0.000000075"), Decimal("0.0000000375"), Decimal("0.0000003"))
    assert cost_usd(price, TokenUsage(prompt=1000, cached=400, completion=100)) == Decimal("0.00009000")
    assert price_version() == "2026-11-23"


def test_no_usage_within_the_limits_costs_more_than_the_worst_case() -> None:
    price = price_of("openai/gpt-oss-120b")
    worst = worst_case_usd(price, 1000, 512)
    for usage in (TokenUsage(1000, 0, 512), TokenUsage(1000, 1000, 512), TokenUsage(0, 0, 0)):
        assert cost_usd(price, usage) <= worst


def test_without_a_price_there_is_no_budget() -> None:
    with pytest.raises(ConfigError, match="no price is known for 'llama3-8b-8192'"):
        price_of("llama3-8b-8192")
