"""The section ``emulator``: what the local stand-in for the API does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from helix_ray.config_base import Fraction, PositiveInt, Section


class EmulatorErrorRates(Section):
    """How often the emulator's scripted model is wrong. These say nothing about any LLM."""

    drop: Fraction = 0.10  # of true variants, left out
    shift: Fraction = 0.05  # of true variants, reported one base off
    hallucinate: Fraction = 0.05  # of reads, one invented variant


class AnswerFaults(Section):
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


class EmulatorFaults(AnswerFaults):
    """And how often HTTP or the connection fails: chances per request, one such fault a request, the first of this order."""

    # Refusals: the model does not run, nothing is charged or billed.
    limit_rpm: Fraction = 0.0  # 429, as each of these limits words it
    limit_rpd: Fraction = 0.0
    limit_tpm: Fraction = 0.0
    limit_tpd: Fraction = 0.0
    limit_itpm: Fraction = 0.0
    limit_otpm: Fraction = 0.0
    too_large: Fraction = 0.0  # 413
    capacity: Fraction = 0.0  # 498
    internal: Fraction = 0.0  # 500
    bad_gateway: Fraction = 0.0  # 502, HTML
    overloaded: Fraction = 0.0  # 503
    overloaded_wait: Fraction = 0.0  # 503 with retry-after
    json_validate_failed: Fraction = 0.0  # 400
    bad_parameter: Fraction = 0.0  # 400
    unprocessable: Fraction = 0.0  # 422
    dependency: Fraction = 0.0  # 424
    request_timeout: Fraction = 0.0  # 408
    conflict: Fraction = 0.0  # 409
    cancelled: Fraction = 0.0  # 499
    unauthorized: Fraction = 0.0  # 401
    forbidden: Fraction = 0.0  # 403
    forbidden_html: Fraction = 0.0  # 403, HTML
    model_gone: Fraction = 0.0  # 404
    decommissioned: Fraction = 0.0  # 400
    spend_limit: Fraction = 0.0  # 400
    # The model answers and is billed; the answer is lost or late on its way.
    truncated_json: Fraction = 0.0  # 200, the body breaks off and its length agrees
    empty_body: Fraction = 0.0  # 200
    html_200: Fraction = 0.0
    no_choices: Fraction = 0.0  # 200, choices []
    wrong_types: Fraction = 0.0  # 200, texts for numbers and numbers for texts
    reset_before: Fraction = 0.0  # RST in place of the headers
    close_before: Fraction = 0.0  # FIN in place of the headers
    reset_body: Fraction = 0.0  # RST in the middle of the body
    close_body: Fraction = 0.0  # FIN in the middle of the body
    hang_before: Fraction = 0.0  # silence before the headers
    hang_body: Fraction = 0.0  # silence in the middle of the body
    endless_body: Fraction = 0.0  # a body without end
    drip: Fraction = 0.0  # the body a byte at a time
    idle_close: Fraction = 0.0  # the whole answer, and FIN without notice behind it
    # Of connections, not of requests.
    slow_accept: Fraction = 0.0  # accepted, and nothing read for a while


class ScriptedFault(Section):
    """One fault at certain requests to the completions endpoint, counted from 1 (slow_accept: at certain connections)."""

    request: PositiveInt
    last: PositiveInt | None = None  # the last of a range of requests; None: this one only
    fault: str
    seconds: Annotated[float, Field(ge=0, le=3600)] | None = None  # in place of hang_s, drip_s or the limit's own retry-after

    @model_validator(mode="after")
    def _consistent(self) -> ScriptedFault:
        if self.fault not in EmulatorFaults.model_fields:
            raise ValueError(f"fault '{self.fault}' is none; allowed: {', '.join(EmulatorFaults.model_fields)}")
        if self.last is not None and self.last < self.request:
            raise ValueError(f"last {self.last} is before request {self.request}")
        return self


class EmulatorConfig(Section):
    tier: Literal["free", "developer", "unlimited"] = "developer"
    requests_per_minute: PositiveInt | None = None
    requests_per_day: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    tokens_per_day: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    latency_scale: Annotated[float, Field(ge=0, le=100)] = 1.0
    refund: bool = True
    error_rates: EmulatorErrorRates = EmulatorErrorRates()
    faults: EmulatorFaults = EmulatorFaults()
    script: tuple[ScriptedFault, ...] = ()
    hang_s: Annotated[float, Field(ge=0, le=3600)] = 30.0  # of hang_before, hang_body and slow_accept
    drip_s: Annotated[float, Field(ge=0, le=60)] = 0.5  # between two bytes of a drip
