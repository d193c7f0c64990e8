"""The emulator's prompt cache: what counts as cached, for how long, and what it costs."""

import json
from decimal import Decimal
from typing import Any

import pytest

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.emulator.published import MODELS
from helix_ray.emulator.timing import LIFETIME_S, PromptCache

MODEL = "openai/gpt-oss-20b"
RULES = "Compare the read with the reference. " * 30  # 1,110 characters: two blocks of 512


def test_only_a_prompt_that_begins_like_a_recent_one_is_cached():
    cache = PromptCache(1.0, seed=1)
    assert cache.cached_tokens(MODEL, [RULES, "read 1"], 400, 0.0) == 0
    assert cache.cached_tokens(MODEL, [RULES, "read 2"], 400, 1.0) == 256
    assert cache.cached_tokens(MODEL, ["x" + RULES, "read 2"], 400, 2.0) == 0
    assert cache.cached_tokens("openai/gpt-oss-120b", [RULES, "read 2"], 400, 3.0) == 0


def test_less_than_128_tokens_are_not_cached_and_never_the_whole_prompt():
    cache = PromptCache(1.0, seed=1)
    for now in (0.0, 1.0):
        assert cache.cached_tokens(MODEL, ["y" * 511], 200, now) == 0
    cache.cached_tokens(MODEL, ["z" * 1024], 256, 2.0)
    assert cache.cached_tokens(MODEL, ["z" * 1024], 256, 3.0) == 128


def test_a_prefix_is_kept_for_two_hours_after_its_last_use():
    cache = PromptCache(1.0, seed=1)
    cache.cached_tokens(MODEL, [RULES], 400, 0.0)
    assert cache.cached_tokens(MODEL, [RULES], 400, LIFETIME_S) == 256
    assert cache.cached_tokens(MODEL, [RULES], 400, 2 * LIFETIME_S) == 256
    assert cache.cached_tokens(MODEL, [RULES], 400, 3 * LIFETIME_S + 1) == 0


def test_the_share_of_hits_is_the_one_asked_for():
    cache = PromptCache(0.3, seed=5)
    hits = sum(cache.cached_tokens(MODEL, [RULES], 400, float(number)) > 0 for number in range(4000))
    assert 0.27 < hits / 4000 < 0.33


def body(model: str) -> bytes:
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": "hi"}]
    return json.dumps({"model": model, "max_completion_tokens": 300, "messages": messages}).encode()


def served(service: Chat, model: str = MODEL) -> dict[str, Any]:
    admitted = service.begin("Bearer x", 0, body(model))
    assert isinstance(admitted, Admitted)
    return dict(json.loads(service.finish(admitted, False).body)["usage"])


def test_cached_tokens_cost_less_leave_the_limits_alone_and_are_read_at_once():
    service = Chat(EmulatorConfig(cache_hit_rate=1.0), MODEL, lambda: 1000.0, lambda: 1_790_000_000.0)
    first, second = served(service), served(service)
    assert "prompt_tokens_details" not in first
    assert second["prompt_tokens_details"] == {"cached_tokens": 256}
    assert second["prompt_tokens"] == first["prompt_tokens"]
    assert second["prompt_time"] < first["prompt_time"]
    one, two = service.ledger.entries.page(0, 2)["entries"]
    assert (one["cached_tokens"], two["cached_tokens"]) == (0, 256)
    assert one["charged"] - two["charged"] == 256 + first["completion_tokens"] - second["completion_tokens"]
    model = MODELS[MODEL]
    assert Decimal(two["billed_usd"]) == (
        (second["prompt_tokens"] - 256) * Decimal(model.prompt_usd)
        + 256 * Decimal(model.cached_usd or "nan")
        + second["completion_tokens"] * Decimal(model.completion_usd)
    )
    assert service.summary()["tokens"]["cached"] == 256  # type: ignore[index]


@pytest.mark.parametrize(("model", "rate"), [("qwen/qwen3.8-27b", 1.0), (MODEL, 0.0)])
def test_without_a_price_for_cached_input_or_switched_off_nothing_is_cached(model: str, rate: float):
    service = Chat(EmulatorConfig(cache_hit_rate=rate), model, lambda: 1000.0, lambda: 1_790_000_000.0)
    for _ in range(2):
        assert "prompt_tokens_details" not in served(service, model)
