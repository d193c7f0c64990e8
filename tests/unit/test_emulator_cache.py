"""The emulator's prompt cache: what counts as cached, for how long, and what it costs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from helix_ray.config_emulator import EmulatorConfig
from helix_ray.emulator.cache import LEAST_TOKENS, TTL_S
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.emulator.models import MODELS

MODEL = "openai/gpt-oss-20b"
RULES = "Compare the read with the reference. " * 30  # 1,110 characters


class Service:
    """A chat service with its clock in the test's hand."""

    def __init__(self, cache_hit_rate: float = 1.0) -> None:
        self.now = 1000.0
        self.chat = Chat(
            EmulatorConfig(tier="unlimited", cache_hit_rate=cache_hit_rate), MODEL, lambda: self.now, lambda: 1_790_000_000.0 + self.now
        )

    def begun(self, question: str, model: str = MODEL, rules: str = RULES) -> Admitted:
        messages = [{"role": "system", "content": rules}, {"role": "user", "content": question}]
        body = json.dumps({"model": model, "max_completion_tokens": 300, "messages": messages}).encode()
        admitted = self.chat.begin("Bearer x", 0, body)
        assert isinstance(admitted, Admitted)
        return admitted

    def usage(self, question: str, model: str = MODEL, rules: str = RULES) -> dict[str, Any]:
        return dict(json.loads(self.chat.finish(self.begun(question, model, rules), False).body)["usage"])

    def cached(self, question: str, model: str = MODEL, rules: str = RULES) -> int:
        return int(self.usage(question, model, rules).get("prompt_tokens_details", {}).get("cached_tokens", 0))


def test_only_what_a_prompt_begins_with_like_a_recent_one_is_cached():
    service = Service()
    assert service.cached("read 1") == 0
    found = service.cached("read 2")
    assert found >= 1_110 / 4, "the rules, and what every request carries"
    assert service.cached("read 2", rules="x" + RULES) == 0
    assert service.cached("read 2", model="openai/gpt-oss-120b") == 0
    assert service.cached("read 2 and more") > found, "the longest of several"


def test_short_beginnings_are_not_cached():
    service = Service()
    short = "y" * 4 * (LEAST_TOKENS - 118 - 20)  # beside the 118 tokens of every request
    service.cached("read 1", rules=short)
    assert service.cached("read 2", rules=short) == 0


def test_a_prompt_that_is_still_being_read_helps_nobody():
    service = Service()
    first = service.begun("read 1")
    assert service.cached("read 2") == 0
    service.chat.finish(first, False)
    assert service.cached("read 3") > 0


def test_a_beginning_is_kept_for_two_hours_after_its_last_use():
    service = Service()
    service.cached("read 1")
    service.now += TTL_S - 1
    assert service.cached("read 2") > 0
    service.now += TTL_S - 1
    assert service.cached("read 3") > 0
    service.now += TTL_S
    assert service.cached("read 4") == 0


def test_the_share_of_hits_is_the_one_asked_for():
    service = Service(0.3)
    hits = sum(service.cached(f"read {number}") > 0 for number in range(800))
    assert 0.24 < hits / 800 < 0.36
    assert not any(Service(0.0).cached("read") for _ in range(2))


def test_cached_tokens_cost_less_leave_the_limits_alone_and_are_read_at_once():
    service = Service()
    first, second = service.usage("read 1"), service.usage("read 2")
    assert "prompt_tokens_details" not in first
    cached = second["prompt_tokens_details"]["cached_tokens"]
    assert second["prompt_tokens"] == first["prompt_tokens"]
    assert second["prompt_time"] < first["prompt_time"]
    entry = service.chat.ledger.entries.page(1, 1)["entries"][0]  # type: ignore[index]
    assert entry["cached_tokens"] == cached
    assert entry["charged"] == second["prompt_tokens"] - cached + second["completion_tokens"]
    model = MODELS[MODEL]
    assert Decimal(entry["billed_usd"]) == (
        (second["prompt_tokens"] - cached) * Decimal(model.prompt_usd)
        + cached * Decimal(model.cached_usd or "nan")
        + second["completion_tokens"] * Decimal(model.completion_usd)
    )
    summary: dict[str, Any] = service.chat.summary()
    assert summary["tokens"]["cached"] == cached
    assert summary["invariants_broken"] == []
