"""A request about one or several reads: which they are, under which ids, what is sent, and what it can cost at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, opaque_id
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.analyzer.leased_reads import Job
from helix_ray.providers.prices import ModelPrice, worst_case_usd
from helix_ray.throttle.messages import PermitRequest

REPAIR_SEED = 1
"""Added to the run's seed: at temperature 0 the same seed is likely to give the same unusable answer again."""


class ReadRequest(NamedTuple):
    jobs: list[Job]
    asked: list[str]  # their opaque ids, in the same order
    kind: Literal["analysis", "repair"]
    payload: dict[str, Any]
    bases: int  # of all windows and reads together
    max_completion_tokens: int  # of the whole answer
    worst_case_usd: Decimal


@dataclass(frozen=True, slots=True)
class RequestMaker:
    """``nonce`` belongs to the run: a read's opaque id differs between runs, and not within one."""

    payloads: PayloadBuilder
    estimator: TokenEstimator
    price: ModelPrice
    max_completion_tokens: int
    completion_limit: int | None  # the model's own, which a repair may not pass; None: not known
    nonce: str
    service_tier: Literal["on_demand", "flex", "auto"] = "on_demand"

    def make(self, jobs: Sequence[Job]) -> ReadRequest:
        """For one read or more. A read that is asked again is alone, with another seed, and with twice the room if it was cut off."""
        asks = [Ask(opaque_id(self.nonce, job.read.read_index), job.read.ref_seq, job.read.seq) for job in jobs]
        repair = any(job.repairs for job in jobs)
        tokens = self.max_completion_tokens
        if any(job.cut_off for job in jobs):
            tokens = 2 * tokens if self.completion_limit is None else min(2 * tokens, max(tokens, self.completion_limit))
        tokens = min([tokens, *(job.most_tokens for job in jobs if job.most_tokens is not None)])
        payload, text = self.payloads.build(asks, seed_offset=REPAIR_SEED if repair else 0, max_completion_tokens=tokens)
        return ReadRequest(
            list(jobs),
            [ask.opaque_id for ask in asks],
            "repair" if repair else "analysis",
            payload,
            sum(len(ask.ref_seq) + len(ask.seq) for ask in asks),
            tokens,
            worst_case_usd(self.price, self.estimator.ceiling(text), tokens),
        )

    def want(self, request: ReadRequest, want_id: str) -> PermitRequest:
        """The permit that it needs."""
        tokens = self.estimator.estimate(request.bases, len(request.jobs))
        tier = "on_demand" if any(job.on_demand for job in request.jobs) else self.service_tier
        retry = any(job.retrying for job in request.jobs)
        return PermitRequest(want_id, tokens, request.max_completion_tokens, request.worst_case_usd, tier, retry)
