"""The section ``emulator``: what the local stand-in for the API does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from helix_ray.config_base import Fraction, PositiveInt, Section


class EmulatorErrorRates(Section):
    """How often the emulator's scripted model is wrong. These say nothing about any LLM."""

    drop: Fraction = 0.10  # of true variants, left out
    shift: Fraction = 0.05  # of true variants, reported one base off
    hallucinate: Fraction = 0.05  # of reads, one invented variant


class EmulatorFaults(Section):
    """How often an answer of the emulator is damaged: chances per request, each drawn by itself, so that several may meet."""

    prose: Fraction = 0.0  # text before and after the JSON
    fenced: Fraction = 0.0  # the JSON in a Markdown fence
    cut_json: Fraction = 0.0  # the JSON breaks off, and yet finish_reason is stop
    lower_case: Fraction = 0.0  # alleles in lower case
    pos_text: Fraction = 0.0  # positions as strings
    refusal: Fraction = 0.0
    empty: Fraction = 0.0  # no content at all
    shuffle_ids: Fraction = 0.0  # the reads of a packed answer in another order
    drop_id: Fraction = 0.0  # one read of a packed answer is left out
    repeat_id: Fraction = 0.0  # one read of a packed answer comes twice, once with calls that are not its own
    invent_id: Fraction = 0.0  # a packed answer holds one read more, with calls, that nobody asked for
    wrong_id: Fraction = 0.0  # a request's only read is answered under another id


class EmulatorConfig(Section):
    tier: Literal["free", "developer", "unlimited"] = "developer"
    requests_per_minute: PositiveInt | None = None
    requests_per_day: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    tokens_per_day: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    latency_scale: Annotated[float, Field(ge=0, le=100)] = 1.0
    refund: bool = True
    cache_hit_rate: Fraction = 0.0
    error_rates: EmulatorErrorRates = EmulatorErrorRates()
    faults: EmulatorFaults = EmulatorFaults()
