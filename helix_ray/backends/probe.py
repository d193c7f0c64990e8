"""What the emulator takes for granted about the real service, asked of the service itself.

Each check states an assumption and what was seen. None is a test of the model: only of limits, headers, bodies and bills.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, get_prompt
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.backends.chat import ChatReply, HttpReply
from helix_ray.backends.groq_client import GroqChat
from helix_ray.environment.secrets import Secret
from helix_ray.errors import StartError
from helix_ray.providers.model_catalog import compare_prices, read_catalog
from helix_ray.providers.prices import cost_usd, tariff_of, worst_case_usd
from helix_ray.providers.readings import Completion

MAX_REQUESTS = 10
MAX_COST_USD = Decimal("0.01")
TIMEOUT_S = 60.0
WINDOW = "ACGTTGCATGCCATGGTACCTAGGATCCAAGCTTGCATGCCTGCAGGTCGACTCTAGAGGATCCCC"
READ = WINDOW[:30] + "T" + WINDOW[31:]
HEADERS = tuple(f"x-ratelimit-{part}-{what}" for part in ("limit", "remaining", "reset") for what in ("requests", "tokens"))


class Check(NamedTuple):
    assumption: str
    held: bool | None  # None: it could not be seen this time
    seen: str


class Probe:
    """Asks the service within both bounds. What is known so far can be read at any time, also after an error of `run`."""

    def __init__(self, api_key: Secret, base_url: str | None, model: str) -> None:
        self.checks: list[Check] = []
        self.requests = 0  # paid
        self.cost_usd = Decimal(0)  # requests of unknown outcome at their worst case
        self._base_url = base_url
        self._model = model
        self._chat = GroqChat(api_key.reveal(), base_url, connections=2)
        self._template = get_prompt("indexed10")
        self._estimator = TokenEstimator(self._template)

    async def run(self) -> None:
        """Every check, in order of price: what is free first."""
        try:
            await self._check_wrong_key()
            await self._check_models()
            first = await self._ask(256)
            if first.status != 200:
                raise StartError(f"the first request was answered {first.status}: {first.body[:300].decode(errors='replace')}")
            self._check_headers(first)
            self._check_body(first)
            await self._check_reservation(first)
            await self._check_short_budget()
        finally:
            await self._chat.aclose()

    def _note(self, assumption: str, held: bool | None, seen: str) -> None:
        self.checks.append(Check(assumption, held, seen))

    async def _ask(self, max_completion_tokens: int) -> ChatReply:
        """Send a paid request, reserved at its worst case."""
        builder = PayloadBuilder(
            self._template,
            model=self._model,
            seed=1,
            max_completion_tokens=max_completion_tokens,
            reasoning_effort="low",
            service_tier="on_demand",
        )
        payload, text = builder.build((Ask(f"check{self.requests:011d}", WINDOW, READ),))
        price = tariff_of(self._model).price
        worst = worst_case_usd(price, self._estimator.ceiling(text), max_completion_tokens)
        if self.requests >= MAX_REQUESTS or self.cost_usd + worst > MAX_COST_USD:
            raise StartError(f"the next request could pass {MAX_REQUESTS} requests or ${MAX_COST_USD}; stopped")
        self.requests += 1
        self.cost_usd += worst  # until it is known better: whatever happens now, it may have been billed
        reply = await self._chat.complete(payload, TIMEOUT_S)
        if not isinstance(reply, ChatReply):
            if reply.kind == "not_sent":
                self.requests -= 1
                self.cost_usd -= worst
            raise StartError(f"no answer ({reply.error_kind}): {reply.message}")
        completion = reply.reading.completion
        if isinstance(completion, Completion) and completion.usage is not None:
            self.cost_usd += cost_usd(price, completion.usage) - worst
        elif 400 <= reply.status < 500:
            self.cost_usd -= worst  # refused, so not billed
        return reply

    async def _check_wrong_key(self) -> None:
        chat = GroqChat("gsk_wrong_key", self._base_url, connections=1)
        try:
            reply = await chat.models()
        finally:
            await chat.aclose()
        if isinstance(reply, HttpReply):
            self._note("a wrong key is answered 401 (the emulator takes any key)", reply.status == 401 or None, f"{reply.status}")

    async def _check_models(self) -> None:
        reply = await self._chat.models()
        if not isinstance(reply, HttpReply) or reply.status != 200:
            raise StartError("GET /models was not answered 200; is the key right?")
        catalog = read_catalog(reply.body)
        self._note(f"{self._model} is offered", self._model in catalog, ", ".join(sorted(catalog))[:200])
        pricing = compare_prices(self._model, catalog.get(self._model, {}))
        if not pricing.seen:
            self._note("GET /models carries prices", None, "no pricing field")
            return
        self._note("prices are those of prices.json", not pricing.differences, "; ".join(pricing.differences) or pricing.seen)

    def _check_headers(self, reply: ChatReply) -> None:
        missing = [name for name in HEADERS if name not in reply.headers]
        self._note("six x-ratelimit headers on every answer", not missing, f"missing: {', '.join(missing)}" if missing else "all six")
        reading = reply.reading.limits
        resets = {name: reply.headers.get(name, "") for name in HEADERS if "reset" in name}
        parsed = reading.requests_reset_s is not None and reading.tokens_reset_s is not None
        self._note("resets are Go durations", parsed, ", ".join(resets.values()))

    def _check_body(self, reply: ChatReply) -> None:
        completion = reply.reading.completion
        if not isinstance(completion, Completion):
            self._note("an answer has the emulator's fields", False, reply.reading.verdict.message)
            return
        body: dict[str, Any] = json.loads(reply.body)  # a completion was found in it, so it is an object
        expected = ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "x_groq")
        missing = [name for name in expected if name not in body]
        self._note("an answer has the emulator's fields", not missing, f"missing: {', '.join(missing)}" if missing else "all")
        try:
            held = json.loads(completion.content).keys() == {"id", "calls"}
        except (ValueError, AttributeError):
            held = False
        self._note("a strict schema is kept", held, completion.content[:120])
        if completion.usage is not None:
            ratio = completion.usage.prompt / self._estimator.raw(len(WINDOW) + len(READ))
            self._note(
                "prompt tokens within 30 % of the estimate", 0.7 <= ratio <= 1.3, f"{completion.usage.prompt} tokens, {ratio:.2f} of it"
            )

    async def _check_reservation(self, first: ChatReply) -> None:
        """Two more requests that differ only in max_completion_tokens: the second costs more credit if the maximum is reserved."""
        small, large = await self._ask(256), await self._ask(2048)
        readings = [reply.reading.limits for reply in (first, small, large)]
        if any(reading.tokens_remaining is None or not reading.tokens_limit for reading in readings):
            self._note("max_completion_tokens is reserved at admission", None, "no token headers")
            return
        limit = readings[0].tokens_limit or 0.0
        used = [limit - (reading.tokens_remaining or 0.0) for reading in readings]
        self._note("max_completion_tokens is reserved at admission", used[2] - used[1] > 1000, f"credit used after each: {used}")
        after = (await self._ask(256)).reading.limits
        if after.tokens_remaining is not None:
            left = limit - after.tokens_remaining
            self._note("what was reserved and not used is given back", left < used[2], f"used {used[2]:g}, then {left:g}")

    async def _check_short_budget(self) -> None:
        reply = await self._ask(16)
        if reply.status == 200:
            completion = reply.reading.completion
            seen = completion.finish_reason if isinstance(completion, Completion) else reply.reading.verdict.error_kind
        else:
            seen = f"{reply.status}: {reply.body[:120]!r}"
        self._note("too small a max_completion_tokens ends with finish_reason length", seen == "length", str(seen))
