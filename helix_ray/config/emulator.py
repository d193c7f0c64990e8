"""The section ``emulator``: what the local stand-in for the API does, and what it breaks by chance or at chosen requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from helix_ray.config.base import Fraction, PositiveFloat, PositiveInt, Section

LawName = Literal["groq", "openai", "fixed_windows", "silent"]
LimitName = Literal["RPM", "RPD", "TPM", "TPD", "ITPM", "OTPM"]
Seconds = Annotated[float, Field(ge=0, le=1e6)]
FaultSeconds = Annotated[float, Field(ge=0, le=3600)]


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
    status: Literal[500, 503, "close"] = 503  # what an API that is out answers; close: it closes the connection without an answer
    after_s: Seconds = 0.0
    for_s: PositiveFloat = 60.0
    retry_after_s: PositiveInt | None = None  # of the 429 or 503, true or not; null: what is left of it, or none where the API is out


class AnswerFaults(Section):
    """``emulator.faults``: how often an answer is damaged. Chances per request, each drawn by itself: several may meet in one answer."""

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


class RefusalFaults(AnswerFaults):
    """How often a good request is refused: the model does not run, nothing is charged or billed."""

    limit_rpm: Fraction = 0.0  # 429, each as its limit words it
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
    request_timeout: Fraction = 0.0  # 408
    conflict: Fraction = 0.0  # 409
    cancelled: Fraction = 0.0  # 499
    json_validate_failed: Fraction = 0.0  # 400 with the beginning of an answer
    bad_parameter: Fraction = 0.0  # 400
    unprocessable: Fraction = 0.0  # 422
    dependency: Fraction = 0.0  # 424
    unauthorized: Fraction = 0.0  # 401
    forbidden: Fraction = 0.0  # 403
    forbidden_html: Fraction = 0.0  # 403, HTML
    model_gone: Fraction = 0.0  # 404
    decommissioned: Fraction = 0.0  # 400
    spend_limit: Fraction = 0.0  # 400


class EmulatorFaults(RefusalFaults):
    """And how often a paid answer is lost or late on its way. At most one refusal or loss hits a request: the first drawn."""

    truncated_json: Fraction = 0.0  # 200, a body that breaks off and is as long as its header says
    empty_body: Fraction = 0.0  # 200
    html_200: Fraction = 0.0
    no_choices: Fraction = 0.0  # 200, choices []
    wrong_types: Fraction = 0.0  # 200, a number for the content and texts for the numbers
    reset_before: Fraction = 0.0  # RST in place of the headers
    close_before: Fraction = 0.0  # FIN in place of the headers
    reset_body: Fraction = 0.0  # RST in the middle of the body
    close_body: Fraction = 0.0  # FIN in the middle of the body
    hang_before: Fraction = 0.0  # silence of hang_s before the headers
    hang_body: Fraction = 0.0  # silence of hang_s in the middle of the body
    endless_body: Fraction = 0.0  # after the answer, blanks until the client leaves
    drip: Fraction = 0.0  # the body byte by byte, one every drip_s
    idle_close: Fraction = 0.0  # the whole answer, then FIN without notice
    slow_accept: Fraction = 0.0  # per connection: nothing is read from it for hang_s
    hang_s: FaultSeconds = 30.0
    drip_s: FaultSeconds = 0.5


ANSWER_FAULTS = tuple(AnswerFaults.model_fields)
REFUSALS = tuple(name for name in RefusalFaults.model_fields if name not in ANSWER_FAULTS)
DELIVERY_FAULTS = tuple(name for name in EmulatorFaults.model_fields if name not in (*RefusalFaults.model_fields, "hang_s", "drip_s"))
FAULTS = (*ANSWER_FAULTS, *REFUSALS, *DELIVERY_FAULTS)
TIMED = (
    *(name for name in REFUSALS if name.startswith("limit_")), "overloaded_wait", "hang_before", "hang_body", "drip", "slow_accept",
)  # fmt: skip
"""Faults with a length, which a script may choose."""


class ScriptedFault(Section):
    """One fault, for certain, at a request to the completions endpoint or at a range of them, counted from 1."""

    request: PositiveInt  # for slow_accept: the connection
    last: PositiveInt | None = None  # of a range that begins with ``request``; None: that one only
    fault: str
    seconds: FaultSeconds | None = None  # in place of hang_s, drip_s, or the retry-after that the limit would give

    @model_validator(mode="after")
    def _possible(self) -> ScriptedFault:
        if self.fault not in FAULTS:
            raise ValueError(f"fault: '{self.fault}' is none; allowed are {', '.join(FAULTS)}")
        if self.last is not None and self.last < self.request:
            raise ValueError(f"last: must be at least request {self.request}, found {self.last}")
        if self.seconds is not None and self.fault not in TIMED:
            raise ValueError(f"seconds: fault {self.fault} has no length; those that have one are {', '.join(TIMED)}")
        return self

    def hits(self, number: int) -> bool:
        return self.request <= number <= (self.last or self.request)


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
    law: LawName = "groq"  # how limits count and are told; silent: a refill as Groq's, without headers, names or waits
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
