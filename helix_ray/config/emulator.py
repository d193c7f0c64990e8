"""The section ``emulator``: what the local stand-in for the API does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from helix_ray.config.base import Fraction, PositiveFloat, PositiveInt, Section
from helix_ray.config.faults import EmulatorFaults, ScriptedFault

LimitName = Literal["RPM", "RPD", "TPM", "TPD", "ITPM", "OTPM"]
Seconds = Annotated[float, Field(ge=0, le=1e6)]


class EmulatorErrorRates(Section):
    """How often the emulator's scripted model is wrong. These say nothing about any LLM."""

    drop: Fraction = 0.10  # of true variants, left out
    shift: Fraction = 0.05  # of true variants, reported one base off
    hallucinate: Fraction = 0.05  # of reads, one invented variant


class EmulatorNeighbour(Section):
    """A second client on the same key: it sends at a steady pace, whatever comes back."""

    share: Annotated[float, Field(ge=0, le=10)] = 0.0  # of TPM, asked for steadily; 0: there is none
    request_tokens: PositiveInt = 305  # of each of its requests


class EmulatorOutage(Section):
    """One outage by script. ``after_s`` counts from the first chat request, or, for a list that the control plane set, from then."""

    limit: LimitName | None = None  # the limit that 429s name; null: the API itself is out
    status: Literal[500, 503, "close"] = 503  # what an API that is out answers; close: it hangs up without a word
    after_s: Seconds = 0.0
    for_s: PositiveFloat = 60.0
    retry_after_s: PositiveInt | None = (
        None  # what clients are told, true or not; null: what is left of it, or nothing where the API is out
    )


class EmulatorConfig(Section):
    tier: Literal["free", "developer", "unlimited"] = "developer"
    requests_per_minute: PositiveInt | None = None
    requests_per_day: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    tokens_per_day: PositiveInt | None = None
    input_tokens_per_minute: PositiveInt | None = None
    output_tokens_per_minute: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    latency_scale: Annotated[float, Field(ge=0, le=100)] = 1.0
    round_trip_s: Annotated[float, Field(ge=0, le=60)] = 0.05  # of the network, in the middle; drawn from 0.4 to 1.6 times this
    refund: bool = True
    charge_rejected: bool = False  # a refused request counts against the limits of requests
    spend_limit_usd: PositiveFloat | None = None
    cache_hit_rate: Fraction = 0.0  # of prompts whose beginning was read before
    flex_capacity: PositiveInt | None = None  # flex requests at once; more are refused with 498
    overload_capacity: PositiveInt | None = None  # requests at once; more are refused with 503
    hidden_capacity: PositiveInt | None = None  # requests at once at full speed; more make all of them slower, and nothing says so
    neighbour: EmulatorNeighbour = EmulatorNeighbour()
    outages: list[EmulatorOutage] = Field(default_factory=list)
    error_rates: EmulatorErrorRates = EmulatorErrorRates()
    faults: EmulatorFaults = EmulatorFaults()
    script: list[ScriptedFault] = Field(default_factory=list)
