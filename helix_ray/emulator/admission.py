"""Who is let in: limits first, then capacity, in Groq's order. A request that is refused takes nothing from any limit, unless
``charge_rejected`` says so.
"""

from __future__ import annotations

from typing import NamedTuple

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator import messages
from helix_ray.emulator.buckets import Amounts, BucketSet, Refused, amounts
from helix_ray.emulator.checks import ChatRequest
from helix_ray.emulator.models import Model
from helix_ray.emulator.organization import Organization
from helix_ray.emulator.outages import Outages, refusal_of
from helix_ray.emulator.windows import MEASURE

HUNG_UP = 0


class Ticket(NamedTuple):
    """A request that is served. Give it back with `Admission.settle`, once."""

    model: Model
    service_tier: str  # on_demand | flex: the one that serves it
    buckets: BucketSet
    charged: Amounts


class Refusal(NamedTuple):
    """What the client is told in place of an answer."""

    status: int  # HUNG_UP: the connection is closed without an answer
    body: bytes
    buckets: BucketSet | None = None  # shown in the headers; None: no such headers
    kind: str | None = None  # of limit, for 413 and 429
    retry_after_s: int | None = None
    shown: Refused | None = None  # in the headers, in place of what the buckets say
    head: messages.Headers = messages.JSON_HEAD
    fault: str | None = None  # it is one on purpose


class Admission:
    def __init__(self, config: EmulatorConfig, organization: Organization, outages: Outages) -> None:
        self._config = config
        self._organization = organization
        self._outages = outages
        self.in_flight = 0
        self.flex_in_flight = 0

    def change(self, config: EmulatorConfig) -> None:
        self._config = config

    def decide(self, request: ChatRequest, now: float) -> Ticket | Refusal:
        """``auto`` is served on demand while those limits allow it, else as flex."""
        asked = amounts(request.prompt_tokens, request.max_completion_tokens)
        tier = "on_demand" if request.service_tier == "auto" else request.service_tier
        self._organization.catch_up(request.model, now)
        decision = self._within(request.model, asked, tier, now)
        if request.service_tier == "auto" and type(decision) is Refusal and decision.kind is not None and self._config.tier != "free":
            decision = self._within(request.model, asked, "flex", now)
        if type(decision) is Refusal and self._config.charge_rejected and decision.buckets is not None:
            decision.buckets.charge_rejected()
        return decision

    def _within(self, model: Model, asked: Amounts, tier: str, now: float) -> Ticket | Refusal:
        buckets = self._organization.buckets(model, tier)
        buckets.touch(now)
        impossible = buckets.too_large(asked)
        if impossible is not None:
            kind, limit, _, requested = impossible
            return Refusal(413, messages.too_large(kind, limit, requested, model.id, tier), buckets, kind)
        if self._outages.scripted and (active := self._outages.of_limit(now)) is not None:
            assert active.outage.limit is not None
            refused, wait_s = refusal_of(active, buckets, asked[MEASURE[active.outage.limit]])
            return Refusal(429, messages.rate_limited(refused, model.id, tier)[0], buckets, refused.kind, wait_s, refused)
        over = buckets.refusal(asked)
        if over is not None:
            body, wait_s = messages.rate_limited(over, model.id, tier)
            return Refusal(429, body, buckets, over.kind, wait_s)
        config = self._config
        if tier == "flex" and config.flex_capacity is not None and self.flex_in_flight >= config.flex_capacity:
            return Refusal(498, messages.capacity_exceeded(model.id), buckets)
        if config.overload_capacity is not None and self.in_flight >= config.overload_capacity:
            return Refusal(503, messages.over_capacity(model.id), buckets)
        buckets.charge(asked)
        self.in_flight += 1
        self.flex_in_flight += tier == "flex"
        return Ticket(model, tier, buckets, asked)

    def settle(self, ticket: Ticket, input_tokens: int, output_tokens: int, now: float) -> int:
        """Ends a served request, which used these tokens; returns those that count for good."""
        self.in_flight -= 1
        self.flex_in_flight -= ticket.service_tier == "flex"
        self._organization.catch_up(ticket.model, now)
        final = amounts(input_tokens, output_tokens) if self._config.refund else ticket.charged
        ticket.buckets.settle(ticket.charged, final, now)
        return final.tokens
