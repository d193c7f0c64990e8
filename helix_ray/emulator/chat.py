"""The completions endpoint without its sockets: checks, admission, the answer, settlement and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from helix_ray.config_emulator import EmulatorConfig
from helix_ray.config_faults import ANSWER_FAULTS, EmulatorFaults, ScriptedFault
from helix_ray.emulator import messages, refusals
from helix_ray.emulator.answerer import Answerer, Prepared
from helix_ray.emulator.answers import Fate
from helix_ray.emulator.buckets import BucketSet
from helix_ray.emulator.cache import PromptCache
from helix_ray.emulator.checks import ChatRequest, Rejection, check
from helix_ray.emulator.completion import BodyWriter, Text, write_text
from helix_ray.emulator.faults import joined
from helix_ray.emulator.injector import Injected, Injector
from helix_ray.emulator.latency import LatencyModel, Timing
from helix_ray.emulator.ledger import Entry, Ledger, ReadEntry, totals
from helix_ray.emulator.models import MODELS, Model
from helix_ray.emulator.prompt import parse_pairs
from helix_ray.emulator.tiers import limits_of

NOTICE = "an emulator with scripted error rates; says nothing about any LLM"


class Reply(NamedTuple):
    status: int
    headers: messages.Headers
    body: bytes
    head: messages.Headers = messages.JSON_HEAD


class Arrival(NamedTuple):
    request_id: str
    unix_s: float
    retry_count: int | None  # of the SDK; None: header absent


class Admitted(NamedTuple):
    """A request that was let in, with the answer it will get after ``timing``."""

    arrival: Arrival
    request: ChatRequest
    buckets: BucketSet
    prepared: Prepared
    text: Text
    cached_tokens: int
    timing: Timing
    limits: messages.Headers  # as they stood right after the admission: the headers of the answer


class Chat:
    """One organization's view of the service. ``monotonic`` and ``unix`` are clocks in seconds."""

    def __init__(self, config: EmulatorConfig, model: str, monotonic: Callable[[], float], unix: Callable[[], float]) -> None:
        self._config = config
        self._monotonic = monotonic
        self._unix = unix
        self._answerer = Answerer(config)
        self._cache = PromptCache(config.cache_hit_rate, config.seed)
        self.injector = Injector(config.seed, config.faults, config.script)
        self._latency = LatencyModel(config.latency_scale, config.seed)
        self._writer = BodyWriter(config.seed)
        self._groups: dict[tuple[str, str], BucketSet] = {}
        self.ledger = Ledger()
        self.unparsed_prompts = 0
        self.in_flight = 0
        self.max_concurrent = 0
        self._started = monotonic()
        if model in MODELS:  # its buckets are in the summary even before its first request
            self._buckets(MODELS[model], "on_demand")

    def set_faults(self, rates: EmulatorFaults, script: Sequence[ScriptedFault] = ()) -> None:
        """From the next request on, which is the script's first."""
        self._answerer.set_faults(rates)
        self.injector.set(rates, script)

    def begin(self, authorization: str | None, retry_count: int | None, body: bytes, injected: Injected | None = None) -> Reply | Admitted:
        """Checks and admission. An `Admitted` must be given to `finish` exactly once, or to `settle` and then `record`.
        ``injected``: the fault that hits it, if it passes the checks.
        """
        unix_s = self._unix()
        arrival = Arrival(self._writer.request_id(unix_s), unix_s, retry_count)
        if not is_bearer(authorization):
            return self._reject(arrival, 401, messages.invalid_key(), None)
        request = check(body, self._config.tier)
        if isinstance(request, Rejection):
            known = None if request.model is None else self._buckets(request.model, "on_demand")
            return self._reject(arrival, request.status, request.body, known)
        buckets = self._buckets(request.model, request.service_tier)
        if injected is not None and (made_up := refusals.refusal(injected, request, buckets)) is not None:
            kind = None if made_up.limit is None else made_up.limit.kind
            reply = self._reject(arrival, made_up.status, made_up.body, buckets, request=request, kind=kind, fault=injected.name)
            return reply._replace(headers=refusals.headers_of(made_up, reply.headers), head=made_up.head)
        impossible = buckets.too_large(request.requested)
        if impossible is not None:
            kind, limit = impossible
            refusal = messages.too_large(kind, limit, request.requested, request.model.id, request.service_tier)
            return self._reject(arrival, 413, refusal, buckets, request=request, kind=kind)
        refused = buckets.admit(request.requested, self._monotonic())
        if refused is not None:
            refusal, retry_after = messages.rate_limited(refused, request.model.id, request.service_tier)
            reply = self._reject(arrival, 429, refusal, buckets, request=request, kind=refused.kind)
            reply.headers.append((b"retry-after", b"%d" % retry_after))
            return reply
        self.in_flight += 1
        self.max_concurrent = max(self.max_concurrent, self.in_flight)
        return self._answer(arrival, request, buckets, injected.name if injected is not None and injected.name in ANSWER_FAULTS else None)

    def _answer(self, arrival: Arrival, request: ChatRequest, buckets: BucketSet, scripted: str | None) -> Admitted:
        prepared = self._answerer.prepare(request, scripted)
        if not prepared.pairs:
            self.unparsed_prompts += 1
        text = write_text(request, prepared.sent, prepared.answers)
        cached = self._cached(request)
        timing = self._latency.draw(request.model, request.prompt_tokens - cached, text.completion_tokens, self.in_flight)
        return Admitted(arrival, request, buckets, prepared, text, cached, timing, messages.limit_headers(buckets))

    def finish(self, admitted: Admitted, client_gone: bool) -> Reply:
        """Settles and bills an admitted request and writes its ledger entry. A client that left is billed all the same:
        from its side this is the request of unknown outcome.
        """
        reply = self.settle(admitted)
        self.record(admitted, not client_gone, 499 if client_gone else 200)
        return reply

    def settle(self, admitted: Admitted) -> Reply:
        """The model is done: its answer, and the limits as they stand for good."""
        self.in_flight -= 1
        request, text = admitted.request, admitted.text
        admitted.buckets.settle(request.requested, self._charged(admitted), self._monotonic())
        body = self._writer.success(request, admitted.arrival.request_id, text, admitted.cached_tokens, admitted.timing, self._unix())
        return Reply(200, [*admitted.limits, _request_id(admitted.arrival)], body)

    def record(self, admitted: Admitted, seen: bool, status: int, fault: str | None = None, lost: bool = False) -> None:
        """Bills an admitted request. ``fault``: what happened to the answer on its way, ``lost``: so that none of it arrived."""
        request, text = admitted.request, admitted.text
        pairs, answers, sent = admitted.prepared
        request_id, usable = admitted.arrival.request_id, text.finish_reason == "stop" and not lost
        fates = [Fate(joined([each, fault]), alright) for each, alright in sent.fates] if lost else sent.fates
        self.ledger.append(
            Entry(
                *admitted.arrival,
                status,
                None,
                request.requested,
                self._charged(admitted),
                request.model.bill(request.prompt_tokens, text.completion_tokens, admitted.cached_tokens),
                seen,
                request.prompt_tokens,
                admitted.cached_tokens,
                text.completion_tokens,
                sent.fault if fault is None else joined([sent.fault, fault]),
                [pair.opaque_id for pair in pairs],
                *totals(answers),
            ),
            [
                ReadEntry(request_id, seen, pair.opaque_id, answer, each, alright and usable)
                for pair, answer, (each, alright) in zip(pairs, answers, fates, strict=True)
            ],
        )

    def _charged(self, admitted: Admitted) -> int:
        if not self._config.refund:
            return admitted.request.requested
        return admitted.request.prompt_tokens - admitted.cached_tokens + admitted.text.completion_tokens

    def _cached(self, request: ChatRequest) -> int:
        if request.model.cached_usd is None:
            return 0
        return self._cache.cached_tokens(request.model.id, request.contents, request.prompt_tokens, self._monotonic())

    def _reject(
        self,
        arrival: Arrival,
        status: int,
        body: bytes,
        buckets: BucketSet | None,
        *,
        request: ChatRequest | None = None,
        kind: str | None = None,
        fault: str | None = None,
    ) -> Reply:
        requested, prompt_tokens = (0, 0) if request is None else (request.requested, request.prompt_tokens)
        read_ids = [] if request is None else [pair.opaque_id for pair in parse_pairs(request.last_user_message)]
        nothing = totals([])
        entry = Entry(*arrival, status, kind, requested, 0, Decimal(0), True, prompt_tokens, 0, 0, fault, read_ids, *nothing)
        self.ledger.append(entry, [])
        if buckets is not None:
            buckets.touch(self._monotonic())
        limits = [] if buckets is None else messages.limit_headers(buckets)
        return Reply(status, [*limits, _request_id(arrival)], body)

    def _buckets(self, model: Model, service_tier: str) -> BucketSet:
        key = (model.id, service_tier)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = BucketSet(limits_of(self._config, model, service_tier))
        return group

    def summary(self) -> dict[str, object]:
        """Everything the ledger adds up to. ``buckets`` is keyed by model (``MODEL flex`` for flex), then by kind."""
        now = self._monotonic()
        config = self._config
        return {
            "emulator": NOTICE,
            "tier": config.tier,
            "seed": config.seed,
            "latency_scale": config.latency_scale,
            "refund": config.refund,
            "uptime_s": round(now - self._started, 6),
            **self.ledger.summary(),
            "unparsed_prompts": self.unparsed_prompts,
            "in_flight": self.in_flight,
            "max_concurrent": self.max_concurrent,
            "buckets": {
                model if service_tier == "on_demand" else f"{model} {service_tier}": group.summary(now)
                for (model, service_tier), group in self._groups.items()
            },
            "invariants_broken": [breach for group in self._groups.values() for breach in group.breaches()],
        }


def is_bearer(authorization: str | None) -> bool:
    """Whether the header carries any token at all; the emulator accepts every key."""
    scheme, _, token = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def _request_id(arrival: Arrival) -> tuple[bytes, bytes]:
    return b"x-request-id", arrival.request_id.encode()
