"""What the emulator takes for granted about the real service, asked of the service itself.

Each check states an assumption and what was seen. None is a test of the model: only of limits, headers, bodies and bills.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, get_prompt
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.backends.chat import ChatReply, HttpReply
from helix_ray.backends.groq_client import GroqChat
from helix_ray.environment.secrets import Secret
from helix_ray.errors import StartError
from helix_ray.providers.model_catalog import PRICING, offered_models
from helix_ray.providers.prices import ModelPrice, cost_usd, price_of, price_version, worst_case_usd
from helix_ray.providers.readings import Completion

MAX_REQUESTS = 10
MAX_COST_USD = Decimal("0.01")
TIMEOUT_S = 60.0
WINDOW = "ACGTTGCATGCCATGGTACCTAGGATCCAAGCTTGCATGCCTGCAGGTCGACTCTAGAGGATCCCC"
READ = WINDOW[:30] + "T" + WINDOW[31:]
HEADERS = tuple(f"x-ratelimit-{part}-{what}" for part in ("limit", "remaining", "reset") for what in ("requests", "tokens"))


@dataclass(frozen=True, slots=True)
class Check:
    assumption: str
    held: bool | None  # None: it could not be seen this time
    seen: str


@dataclass(slots=True)
class Examination:
    checks: list[Check] = field(default_factory=list)
    requests: int = 0
    cost_usd: Decimal = Decimal(0)

    def note(self, assumption: str, held: bool | None, seen: str) -> None:
        self.checks.append(Check(assumption, held, seen))


def per_million(usd_per_token: Decimal) -> str:
    return f"${(usd_per_token * 1_000_000).normalize():f}"


@dataclass(frozen=True, slots=True)
class Pricing:
    """The prices that GET /models names beside those of prices.json, in dollars per million tokens."""

    seen: str  # "" when it names none
    differences: tuple[str, ...]


def compare_prices(model: str, offered: dict[str, Any]) -> Pricing:
    """``offered`` is the model's entry in GET /models. A price that it does not name is not compared."""
    pricing, price = offered.get("pricing"), price_of(model)._asdict()
    named = pricing if isinstance(pricing, dict) else {}
    seen, differences = [], []
    for name, part in PRICING.items():
        if named.get(name) is None:
            continue
        ours = price[part]
        try:
            theirs = Decimal(str(named[name]))
        except InvalidOperation:
            theirs = Decimal("NaN")
        shown = per_million(theirs) if theirs.is_finite() else repr(str(named[name])[:20])
        seen.append(f"{name} {shown}")
        if not theirs.is_finite() or theirs != ours:
            differences.append(f"{name}: {shown} at the provider, {per_million(ours)} in prices.json of {price_version()}")
    return Pricing(f"{', '.join(seen)} per million tokens" if seen else "", tuple(differences))


class _Asker:
    """Sends paid requests within both bounds, each reserved at its worst case."""

    def __init__(self, chat: GroqChat, model: str, result: Examination) -> None:
        self._chat, self._model, self._result = chat, model, result
        self._price: ModelPrice = price_of(model)
        self._template = get_prompt("indexed10")
        self.estimator = TokenEstimator(self._template)

    async def ask(self, max_completion_tokens: int) -> ChatReply:
        builder = PayloadBuilder(
            self._template,
            model=self._model,
            seed=1,
            max_completion_tokens=max_completion_tokens,
            reasoning_effort="low",
            service_tier="on_demand",
        )
        payload, text = builder.build((Ask(f"check{self._result.requests:011d}", WINDOW, READ),))
        worst = worst_case_usd(self._price, self.estimator.ceiling(text), max_completion_tokens)
        if self._result.requests >= MAX_REQUESTS or self._result.cost_usd + worst > MAX_COST_USD:
            raise StartError(f"the next request could pass {MAX_REQUESTS} requests or ${MAX_COST_USD}; stopped")
        self._result.requests += 1
        self._result.cost_usd += worst  # until it is known better: whatever happens now, it may have been billed
        reply = await self._chat.complete(payload, TIMEOUT_S)
        if not isinstance(reply, ChatReply):
            if reply.kind == "not_sent":
                self._result.requests -= 1
                self._result.cost_usd -= worst
            raise StartError(f"no answer ({reply.error_kind}): {reply.message}")
        completion = reply.reading.completion
        if isinstance(completion, Completion) and completion.usage is not None:
            self._result.cost_usd += cost_usd(self._price, completion.usage) - worst
        elif 400 <= reply.status < 500:
            self._result.cost_usd -= worst  # refused, so not billed
        return reply


async def examine(result: Examination, api_key: Secret, base_url: str | None, model: str) -> None:
    """Every check, in order of price: what is free first. ``result`` holds what is known, also when this ends with an error."""
    await _check_wrong_key(result, base_url)
    chat = GroqChat(api_key.reveal(), base_url, connections=2)
    try:
        await _check_models(result, chat, model)
        asker = _Asker(chat, model, result)
        first = await asker.ask(256)
        if first.status != 200:
            raise StartError(f"the first request was answered {first.status}: {first.body[:300].decode(errors='replace')}")
        _check_headers(result, first)
        _check_body(result, first, asker)
        await _check_reservation(result, asker, first)
        await _check_short_budget(result, asker)
    finally:
        await chat.aclose()


async def _check_wrong_key(result: Examination, base_url: str | None) -> None:
    chat = GroqChat("gsk_wrong_key", base_url, connections=1)
    try:
        reply = await chat.models()
    finally:
        await chat.aclose()
    if isinstance(reply, HttpReply):
        result.note("a wrong key is answered 401 (the emulator takes any key)", reply.status == 401 or None, f"{reply.status}")


async def _check_models(result: Examination, chat: GroqChat, model: str) -> None:
    reply = await chat.models()
    if not isinstance(reply, HttpReply) or reply.status != 200:
        raise StartError("GET /models was not answered 200; is the key right?")
    offered = offered_models(reply.body)
    result.note(f"{model} is offered", model in offered, ", ".join(sorted(offered))[:200])
    pricing = compare_prices(model, offered.get(model, {}))
    if not pricing.seen:
        result.note("GET /models carries prices", None, "no pricing field")
        return
    result.note("prices are those of prices.json", not pricing.differences, "; ".join(pricing.differences) or pricing.seen)


def _check_headers(result: Examination, reply: ChatReply) -> None:
    missing = [name for name in HEADERS if name not in reply.headers]
    result.note("six x-ratelimit headers on every answer", not missing, f"missing: {', '.join(missing)}" if missing else "all six")
    reading = reply.reading.limits
    resets = {name: reply.headers.get(name, "") for name in HEADERS if "reset" in name}
    parsed = reading.requests_reset_s is not None and reading.tokens_reset_s is not None
    result.note("resets are Go durations", parsed, ", ".join(resets.values()))


def _check_body(result: Examination, reply: ChatReply, asker: _Asker) -> None:
    completion = reply.reading.completion
    if not isinstance(completion, Completion):
        result.note("an answer has the emulator's fields", False, reply.reading.verdict.message)
        return
    body: dict[str, Any] = json.loads(reply.body)  # a completion was found in it, so it is an object
    expected = ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "x_groq")
    missing = [name for name in expected if name not in body]
    result.note("an answer has the emulator's fields", not missing, f"missing: {', '.join(missing)}" if missing else "all")
    try:
        held = json.loads(completion.content).keys() == {"id", "calls"}
    except (ValueError, AttributeError):
        held = False
    result.note("a strict schema is kept", held, completion.content[:120])
    if completion.usage is not None:
        ratio = completion.usage.prompt / asker.estimator.raw(len(WINDOW) + len(READ))
        result.note(
            "prompt tokens within 30 % of the estimate", 0.7 <= ratio <= 1.3, f"{completion.usage.prompt} tokens, {ratio:.2f} of it"
        )


async def _check_reservation(result: Examination, asker: _Asker, first: ChatReply) -> None:
    """Two more requests that differ only in max_completion_tokens: the second costs more credit if the maximum is reserved."""
    small, large = await asker.ask(256), await asker.ask(2048)
    readings = [reply.reading.limits for reply in (first, small, large)]
    if any(reading.tokens_remaining is None or not reading.tokens_limit for reading in readings):
        result.note("max_completion_tokens is reserved at admission", None, "no token headers")
        return
    limit = readings[0].tokens_limit or 0.0
    used = [limit - (reading.tokens_remaining or 0.0) for reading in readings]
    result.note("max_completion_tokens is reserved at admission", used[2] - used[1] > 1000, f"credit used after each: {used}")
    after = (await asker.ask(256)).reading.limits
    if after.tokens_remaining is not None:
        left = limit - after.tokens_remaining
        result.note("what was reserved and not used is given back", left < used[2], f"used {used[2]:g}, then {left:g}")


async def _check_short_budget(result: Examination, asker: _Asker) -> None:
    reply = await asker.ask(16)
    if reply.status == 200:
        completion = reply.reading.completion
        reason = completion.finish_reason if isinstance(completion, Completion) else reply.reading.verdict.error_kind
        result.note("too small a max_completion_tokens ends with finish_reason length", reason == "length", str(reason))
    else:
        result.note("too small a max_completion_tokens ends with finish_reason length", False, f"{reply.status}: {reply.body[:120]!r}")
