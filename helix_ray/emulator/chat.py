"""The completions endpoint without its sockets: checks, admission, the answer, settlement and the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import NamedTuple

from helix_ray.config.emulator import ANSWER_FAULTS, REFUSALS, EmulatorConfig, EmulatorFaults, ScriptedFault
from helix_ray.emulator import published
from helix_ray.emulator.answers import Answerer, BodyWriter, Fate, FaultDraws, Prepared, Text, joined, write_text
from helix_ray.emulator.faults import HUNG_UP, Injected, Injector, Outages, Refusal, api_is_out, limit_is_out, refusal_of, scripted_refusal
from helix_ray.emulator.limits import Amounts, BucketSet, Organization, amounts
from helix_ray.emulator.published import MODELS, Headers, Model, Reply
from helix_ray.emulator.records import Ledger, ReadEntry, RequestEntry, totals
from helix_ray.emulator.request import ChatRequest, Rejection, check, parse_pairs
from helix_ray.emulator.timing import LatencyModel, PromptCache, Serving, Timing

NOTICE = "an emulator with scripted error rates; says nothing about any LLM"


class Ticket(NamedTuple):
    """A request that is served. Give it back with `Admission.settle`, once."""

    model: Model
    service_tier: str  # on_demand | flex: the one that serves it
    buckets: BucketSet
    charged: Amounts
    at: float  # monotonic seconds of its admission


class Admission:
    """Limits first, then capacity, in Groq's order. A refused request takes nothing from any limit, unless ``charge_rejected``
    says so.
    """

    def __init__(self, config: EmulatorConfig, organization: Organization, outages: Outages) -> None:
        self.config = config
        self._organization = organization
        self._outages = outages
        self.in_flight = 0
        self.flex_in_flight = 0

    def decide(self, request: ChatRequest, now: float) -> Ticket | Refusal:
        """``auto`` is served on demand while those limits allow it, else as flex."""
        asked = amounts(request.prompt_tokens, request.max_completion_tokens)
        tier = "on_demand" if request.service_tier == "auto" else request.service_tier
        self._organization.catch_up(request.model, now)
        decision = self._within(request.model, asked, tier, now)
        if request.service_tier == "auto" and type(decision) is Refusal and decision.kind is not None and self.config.tier != "free":
            decision = self._within(request.model, asked, "flex", now)
        if type(decision) is Refusal and self.config.charge_rejected and decision.buckets is not None:
            decision.buckets.charge_rejected()
        return decision

    def _within(self, model: Model, asked: Amounts, tier: str, now: float) -> Ticket | Refusal:
        buckets = self._organization.buckets(model, tier)
        buckets.touch(now)
        impossible = buckets.too_large(asked)
        if impossible is not None:
            return Refusal(buckets.law.too_large_status, buckets.law.beyond(impossible, model.id, tier), buckets, impossible.kind)
        active = self._outages.active(now, of_limit=True)
        if active is not None:
            return limit_is_out(active, buckets, asked, model.id, tier)
        over = buckets.refusal(asked)
        if over is not None:
            return refusal_of(over, buckets, model.id, tier)
        config = self.config
        if tier == "flex" and config.flex_capacity is not None and self.flex_in_flight >= config.flex_capacity:
            return Refusal(498, published.capacity_exceeded(model.id), buckets)
        if config.overload_capacity is not None and self.in_flight >= config.overload_capacity:
            return Refusal(503, published.over_capacity(model.id), buckets)
        buckets.charge(asked)
        self.in_flight += 1
        self.flex_in_flight += tier == "flex"
        return Ticket(model, tier, buckets, asked, now)

    def settle(self, ticket: Ticket, input_tokens: int, output_tokens: int, now: float) -> int:
        """End a served request that used these tokens; returns those that count for good."""
        self.in_flight -= 1
        self.flex_in_flight -= ticket.service_tier == "flex"
        self._organization.catch_up(ticket.model, now)
        final = amounts(input_tokens, output_tokens) if self.config.refund else ticket.charged
        ticket.buckets.settle(ticket.charged, final, ticket.at, now)
        return final.tokens


class Arrival(NamedTuple):
    request_id: str
    unix_s: float
    retry_count: int | None  # of the SDK; None: header absent


class Admitted(NamedTuple):
    """A request that was let in, with the answer it will get after ``timing``."""

    arrival: Arrival
    request: ChatRequest
    ticket: Ticket
    prepared: Prepared
    text: Text
    cached_tokens: int  # of the prompt
    timing: Timing  # as planned, without the effect of hidden capacity
    limits: Headers  # as they stood right after the admission: the headers of the answer


class Chat:
    """One organization's view of the service. ``monotonic`` and ``unix`` are clocks in seconds."""

    def __init__(self, config: EmulatorConfig, model: str, monotonic: Callable[[], float], unix: Callable[[], float]) -> None:
        self.config = config
        self._monotonic = monotonic
        self._unix = unix
        self._outages = Outages(config.outages)
        self._organization = Organization(config)
        self._admission = Admission(config, self._organization, self._outages)
        self._answerer = Answerer(config)
        self._cache = PromptCache(config.cache_hit_rate, config.seed)
        self.injector = Injector(config.seed, config.faults, config.script)
        self._latency = LatencyModel(config.latency_scale, config.round_trip_s, config.seed)
        self._writer = BodyWriter(config.seed)
        self.serving = Serving(config.hidden_capacity, monotonic)
        self.ledger = Ledger()
        self._open: set[str] = set()  # admitted and not settled, by request id
        self._unrecorded: dict[str, tuple[str, str, int]] = {}  # settled, by request id: model, tier and charge
        self._breaches: list[str] = []
        self.unparsed_prompts = self.max_concurrent = 0
        self._started = monotonic()
        if model in MODELS:  # its buckets are in the summary even before its first request
            self._organization.buckets(MODELS[model], "on_demand")

    def set_faults(self, rates: EmulatorFaults, script: Sequence[ScriptedFault] = ()) -> None:
        """From the next request on, which is the script's first."""
        self._answerer.faults = FaultDraws(self.config.seed, rates)
        self.injector.set(rates, script)

    def change(self, config: EmulatorConfig, given: Collection[str]) -> None:
        """Another configuration from now on; scripts start anew where their keys are among the ``given`` ones."""
        now = self._monotonic()
        self._organization.change(config, now)
        self._admission.config = config
        if "outages" in given:
            self._outages.replace(config.outages, now)
        if "faults" in given or "script" in given:
            self.set_faults(config.faults, config.script)
        self._cache.hit_rate = config.cache_hit_rate
        self._latency.scale, self._latency.round_trip_s = config.latency_scale, config.round_trip_s
        if config.hidden_capacity != self.config.hidden_capacity:
            self.serving.change(config.hidden_capacity)
        self.config = config

    def begin(self, authorization: str | None, retry_count: int | None, body: bytes, injected: Injected | None = None) -> Reply | Admitted:
        """Check and admit a request. Give an `Admitted` to `finish` exactly once, or to `settle` and then `record`.
        ``injected``: the fault that hits it, if it passes the checks.
        """
        now, unix_s = self._monotonic(), self._unix()
        arrival = Arrival(self._writer.request_id(unix_s), unix_s, retry_count)
        self._outages.begin(now)
        down = self._outages.active(now, of_limit=False)
        if down is not None:
            return self._reject(arrival, api_is_out(down))
        if not is_bearer(authorization):
            return self._reject(arrival, Refusal(401, published.INVALID_KEY))
        spend_limit = self.config.spend_limit_usd
        spent = spend_limit is not None and self.ledger.bill_usd >= Decimal(str(spend_limit))
        request = check(body, self.config.tier, spent)
        if isinstance(request, Rejection):
            shown = None if request.model is None else self._organization.buckets(request.model, "on_demand")
            if shown is not None:
                shown.touch(now)
            return self._reject(arrival, Refusal(request.status, request.body, shown))
        if injected is not None and injected.name in REFUSALS:
            decision: Ticket | Refusal = self._made_up(injected, request, now)
        else:
            decision = self._admission.decide(request, now)
        if isinstance(decision, Refusal):
            return self._reject(arrival, decision, request)
        self._open.add(arrival.request_id)
        self.max_concurrent = max(self.max_concurrent, len(self._open))
        scripted = injected.name if injected is not None and injected.name in ANSWER_FAULTS else None
        return self._answer(arrival, request, decision, scripted, now)

    def _made_up(self, injected: Injected, request: ChatRequest, now: float) -> Refusal:
        tier = "flex" if request.service_tier == "flex" else "on_demand"
        buckets = self._organization.buckets(request.model, tier)
        self._organization.catch_up(request.model, now)
        buckets.touch(now)
        return scripted_refusal(injected, request._replace(service_tier=tier), buckets)

    def _answer(self, arrival: Arrival, request: ChatRequest, ticket: Ticket, scripted: str | None, now: float) -> Admitted:
        if request.service_tier != ticket.service_tier:
            request = request._replace(service_tier=ticket.service_tier)
        prepared = self._answerer.prepare(request, scripted)
        if not prepared.pairs:
            self.unparsed_prompts += 1
        text = write_text(request, prepared.sent, prepared.answers)
        cached = 0
        if request.model.cached_usd is not None:
            cached = self._cache.cached_tokens(request.model.id, request.contents, request.prompt_tokens, now)
        timing = self._latency.draw(request.model, request.prompt_tokens - cached, text.completion_tokens, len(self._open))
        return Admitted(arrival, request, ticket, prepared, text, cached, timing, ticket.buckets.headers())

    def finish(self, admitted: Admitted, client_gone: bool, stretch: float = 1.0) -> Reply:
        """Settle, bill and record an admitted request, also when its client left. ``stretch``: actual over planned service time."""
        reply = self.settle(admitted, stretch)
        self.record(admitted, not client_gone, 499 if client_gone else 200)
        return reply

    def settle(self, admitted: Admitted, stretch: float = 1.0) -> Reply:
        """Return the answer of the finished model, and charge what counts for good."""
        request, text, cached, ticket = admitted.request, admitted.text, admitted.cached_tokens, admitted.ticket
        request_id = admitted.arrival.request_id
        if request_id not in self._open:
            self._breaches.append(f"{request_id} was settled twice")
        self._open.discard(request_id)
        charged = self._admission.settle(ticket, request.prompt_tokens - cached, text.completion_tokens, self._monotonic())
        self._unrecorded[request_id] = (request.model.id, ticket.service_tier, charged)
        timing = admitted.timing if stretch == 1.0 else admitted.timing.stretched(stretch)
        body = self._writer.success(request, request_id, text, cached, timing, self._unix())
        return Reply(200, [*admitted.limits, _request_id(admitted.arrival)], body)

    def record(self, admitted: Admitted, seen: bool, status: int, fault: str | None = None, lost: bool = False) -> None:
        """Bill a settled request. ``fault``: what happened to the answer on its way, ``lost``: so that none of it arrived."""
        request, text = admitted.request, admitted.text
        pairs, answers, sent = admitted.prepared
        request_id, usable = admitted.arrival.request_id, text.finish_reason == "stop" and not lost
        if request_id not in self._unrecorded:
            self._breaches.append(f"{request_id} was billed twice")
            return
        model, tier, charged = self._unrecorded.pop(request_id)
        fates = [Fate(joined([each, fault]), alright) for each, alright in sent.fates] if lost else sent.fates
        tokens = (request.prompt_tokens, admitted.cached_tokens, text.completion_tokens)
        bill = request.model.bill(request.prompt_tokens, text.completion_tokens, admitted.cached_tokens)
        ids = [pair.opaque_id for pair in pairs]
        start = (*admitted.arrival, status, None, request.requested, charged, bill, seen, *tokens)
        self.ledger.append(
            RequestEntry(*start, joined([sent.fault, fault]), ids, *totals(answers), model, tier, self._unix()),
            [
                ReadEntry(request_id, seen, pair.opaque_id, answer, each, alright and usable)
                for pair, answer, (each, alright) in zip(pairs, answers, fates, strict=True)
            ],
        )

    def _reject(self, arrival: Arrival, refusal: Refusal, request: ChatRequest | None = None) -> Reply:
        requested = prompt_tokens = 0
        read_ids, model, tier = [], None, None
        if request is not None:
            requested, prompt_tokens, model, tier = request.requested, request.prompt_tokens, request.model.id, request.service_tier
            read_ids = [pair.opaque_id for pair in parse_pairs(request.last_user_message)]
        status, body, buckets, kind, retry_after, shown, head, fault = refusal
        start = (*arrival, status, kind, requested, 0, Decimal(0), status != HUNG_UP, prompt_tokens, 0, 0)
        entry = RequestEntry(*start, fault, read_ids, *totals([]), model, tier, self._unix())
        self.ledger.append(entry, [])
        limits = [] if buckets is None else buckets.headers(shown)
        return Reply(status, [*limits, _request_id(arrival), *retry_after], body, head)

    def summary(self) -> dict[str, object]:
        """Everything the ledger adds up to. ``buckets`` is keyed by model (``MODEL flex`` for flex), then by kind."""
        now, config, organization = self._monotonic(), self.config, self._organization
        return {
            "emulator": NOTICE,
            "tier": config.tier,
            "seed": config.seed,
            "latency_scale": config.latency_scale,
            "law": config.law,
            "refund": config.refund,
            "uptime_s": round(now - self._started, 6),
            **self.ledger.summary(),
            "unparsed_prompts": self.unparsed_prompts,
            "in_flight": len(self._open),
            "max_concurrent": self.max_concurrent,
            "capacity": {"hidden": config.hidden_capacity, "flex": config.flex_capacity, "overload": config.overload_capacity},
            "outages": self._outages.summary(now),
            **organization.summary(now),
            "invariants_broken": [*organization.breaches(), *self._breaches, *self.ledger.audit.problems(self._recorded_tokens())],
        }

    def _recorded_tokens(self) -> Counter[tuple[str, str]]:
        """What the buckets settled, without answers that are still on their way and have no entry yet."""
        settled = Counter(self._organization.settled_tokens())
        for model, tier, charged in self._unrecorded.values():
            settled[model, tier] -= charged
        return settled


def is_bearer(authorization: str | None) -> bool:
    """Whether the header carries any token at all; the emulator accepts every key."""
    scheme, _, token = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def _request_id(arrival: Arrival) -> tuple[bytes, bytes]:
    return b"x-request-id", arrival.request_id.encode()
