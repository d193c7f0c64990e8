"""What an analysis engine is made of, put together from a configuration."""

from __future__ import annotations

import random
from dataclasses import dataclass

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import PromptTemplate, get_prompt
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.analyzer.answer_reader import AnswerReader
from helix_ray.analyzer.attempts import Attempts
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.intents import Intents
from helix_ray.analyzer.leased_reads import HeldReads
from helix_ray.analyzer.next_steps import Setbacks
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.analyzer.ports import QueuePort, SinkPort, ThrottlePort
from helix_ray.analyzer.read_request import RequestMaker
from helix_ray.analyzer.read_results import ALIGNER, ResultMaker
from helix_ray.analyzer.request_cycle import Analyst
from helix_ray.analyzer.request_log import RequestLog
from helix_ray.analyzer.result_outbox import LINGER_S, ResultOutbox
from helix_ray.backends.chat import ChatBackend
from helix_ray.clock import Clock
from helix_ray.config import AnalyzerConfig, Config
from helix_ray.providers.prices import Tariff, tariff_of
from helix_ray.throttle.limits.request_sizes import RequestSizes

LEAST_UNSAVED = 200


@dataclass(frozen=True, slots=True)
class EngineParts:
    """``analyst``, ``permits``, ``intents``: None for the aligner, which asks nobody. Times are seconds, the rest are counts of reads."""

    queue: QueuePort
    throttle: ThrottlePort
    outbox: ResultOutbox
    held: HeldReads
    counters: AnalyzerCounters
    results: ResultMaker
    clock: Clock
    analyst: Analyst | None
    permits: PermitClient | None
    intents: Intents | None
    requests_in_flight: int
    reads_per_request: int
    batch_size: int
    max_unsaved: int  # results waiting for their commit, above which nothing is leased
    lease_timeout_s: float


def make_parts(
    config: Config,
    queue: QueuePort,
    throttle: ThrottlePort,
    sink: SinkPort,
    backend: ChatBackend | None,
    *,
    clock: Clock,
    nonce: str,
    rng: random.Random,
    linger_s: float = LINGER_S,
    tariff: Tariff | None = None,
) -> EngineParts:
    """``backend`` None: the aligner. ``tariff``: what tokens cost; None: as the table has it.
    ``nonce``: of the run, so that a read's opaque id differs between runs and not within one.

    Raises ConfigError for a model without a price and an unknown prompt.
    """
    counters, outbox = AnalyzerCounters(), ResultOutbox(sink, clock, linger_s)
    analyst, permits, intents, results = None, None, None, ResultMaker(ALIGNER, None, None, None)
    if backend is not None:
        permits = PermitClient(throttle, clock)
        template = _template(config.analyzer)
        results = ResultMaker(config.analyzer.model, template.name, template.sha256, template.schema.sha256)
        intents, model = Intents(sink, clock), config.analyzer.model
        log = RequestLog(permits, intents.record, lambda call: outbox.add(None, (call,)), counters, clock, model)
        attempts = Attempts(config.retry.max_attempts)
        setbacks = Setbacks(results, config.retry, config.analyzer.on_capacity_exceeded, attempts, counters, clock, rng)
        requests = _request_maker(config, template, nonce, tariff or tariff_of(config.analyzer.model))
        answers = AnswerReader(template, requests.estimator, requests.price, results, attempts, setbacks, log, counters, clock)
        analyst = Analyst(
            backend, permits, requests, RequestSizes(), attempts, answers, setbacks, log, clock, config.analyzer.request_timeout_s
        )
    return EngineParts(
        queue=queue,
        throttle=throttle,
        outbox=outbox,
        held=HeldReads(),
        counters=counters,
        results=results,
        clock=clock,
        analyst=analyst,
        permits=permits,
        intents=intents,
        requests_in_flight=config.analyzer.requests_in_flight,
        reads_per_request=config.analyzer.reads_per_request,
        batch_size=config.source.batch_size,
        max_unsaved=max(LEAST_UNSAVED, 2 * config.sink.batch_size),
        lease_timeout_s=config.queue.lease_timeout_s,
    )


def _template(settings: AnalyzerConfig) -> PromptTemplate:
    return get_prompt(settings.prompt, examples=settings.examples, reads_per_request=settings.reads_per_request, work=settings.work)


def _request_maker(config: Config, template: PromptTemplate, nonce: str, tariff: Tariff) -> RequestMaker:
    settings = config.analyzer
    payloads = PayloadBuilder(
        template,
        model=settings.model,
        seed=config.run.seed,
        max_completion_tokens=settings.max_completion_tokens,
        reasoning_effort=settings.reasoning_effort,
        service_tier=settings.service_tier,
    )
    return RequestMaker(
        payloads,
        TokenEstimator(template),
        tariff.price,
        settings.max_completion_tokens,
        tariff.completion_limit,
        nonce,
        settings.service_tier,
    )
