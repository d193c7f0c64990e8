"""The section ``emulator``: what the local stand-in for the API does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from helix_ray.config_base import Fraction, PositiveInt, Section
from helix_ray.config_faults import EmulatorFaults, ScriptedFault


class EmulatorErrorRates(Section):
    """How often the emulator's scripted model is wrong. These say nothing about any LLM."""

    drop: Fraction = 0.10  # of true variants, left out
    shift: Fraction = 0.05  # of true variants, reported one base off
    hallucinate: Fraction = 0.05  # of reads, one invented variant


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
    script: list[ScriptedFault] = Field(default_factory=list)
