import random
from decimal import Decimal

import pytest

from helix_ray.analysis.prompts import PROMPTS, Ask, get_prompt
from helix_ray.analysis.tokens import FORMAT_TOKENS_CEILING, TokenEstimator
from helix_ray.errors import ConfigError
from helix_ray.providers.prices import cost_usd, price_version, tariff_of, worst_case_usd
from helix_ray.records import TokenUsage

PER_BASE = {"raw": 0.518, "spaced": 1.0, "grouped10": 0.531, "indexed10": 0.789, "paired_indexed": 0.85, "assisted_aligned": 0.53}
PER_BASE |= {"indexed10_v2": 0.789, "ref_indexed10": 0.66, "context": 0.518}


@pytest.mark.parametrize("name", PROMPTS)
def test_the_estimate_grows_by_the_tokens_per_base_of_its_template(name: str) -> None:
    estimator = TokenEstimator(get_prompt(name))
    assert estimator.raw(1300) - estimator.raw(300) == pytest.approx(1000 * PER_BASE[name])
    assert estimator.estimate(300) >= estimator.raw(300)


def test_ids_and_headings_count_for_each_read_and_the_instructions_once() -> None:
    estimator = TokenEstimator(get_prompt("indexed10", reads_per_request=10))
    one, two, ten = (estimator.raw(300 * reads, reads) for reads in (1, 2, 10))
    assert ten - one == pytest.approx(9 * (two - one))
    assert 300 * 0.789 < two - one < 300 * 0.789 + 25
    assert ten < 10 * one / 1.5


@pytest.mark.parametrize("name", PROMPTS)
def test_examples_cost_by_the_base_too(name: str) -> None:
    without, one = (TokenEstimator(get_prompt(name, examples=examples)).raw(0) for examples in (0, 1))
    assert 48 * PER_BASE[name] < one - without < 48 * PER_BASE[name] + 50


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


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize(("bases", "reads"), [(1, 1), (150, 1), (150, 50), (2000, 2)])
def test_the_ceiling_is_a_bound_even_if_every_byte_were_a_token(name: str, bases: int, reads: int) -> None:
    template = get_prompt(name, examples=3, reads_per_request=50, work=True)
    estimator = TokenEstimator(template)
    text = template.user_text([Ask("0" * 16, "A" * bases, "C" * bases)] * reads)
    assert estimator.ceiling(text) == len(template.system) + len(template.schema.text) + len(text) + FORMAT_TOKENS_CEILING
    assert template.system.isascii()
    assert estimator.ceiling(text) > estimator.raw(2 * bases * reads, reads)
    assert estimator.ceiling(text + "é") - estimator.ceiling(text) == 2


def test_prices_are_exact_decimals() -> None:
    price = tariff_of("openai/gpt-oss-20b").price
    assert (price.prompt, price.cached, price.completion) == (Decimal("0.000000075"), Decimal("0.0000000375"), Decimal("0.0000003"))
    assert cost_usd(price, TokenUsage(prompt=1000, cached=400, completion=100)) == Decimal("0.00009000")
    assert price_version() == "2026-11-23"


def test_no_usage_within_the_limits_costs_more_than_the_worst_case() -> None:
    price = tariff_of("openai/gpt-oss-120b").price
    worst = worst_case_usd(price, 1000, 512)
    for usage in (TokenUsage(1000, 0, 512), TokenUsage(1000, 1000, 512), TokenUsage(0, 0, 0)):
        assert cost_usd(price, usage) <= worst


def test_without_a_price_there_is_no_budget() -> None:
    with pytest.raises(ConfigError, match="no price is known for 'llama3-8b-8192'"):
        tariff_of("llama3-8b-8192")
