"""``emulator.faults`` and ``emulator.script``: what the emulator breaks on purpose, by chance or at chosen requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from helix_ray.config.base import Fraction, PositiveInt, Section

Seconds = Annotated[float, Field(ge=0, le=3600)]


class AnswerFaults(Section):
    """How often an answer is damaged: chances per request, each drawn by itself, so that several may meet in one answer."""

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
    """And how often an answer that was paid for is lost or late on its way. At most one refusal or loss hits a request: the
    first drawn, in this order.
    """

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
    hang_s: Seconds = 30.0
    drip_s: Seconds = 0.5


_TIMES = ("hang_s", "drip_s")
ANSWER_FAULTS = tuple(AnswerFaults.model_fields)
REFUSALS = tuple(name for name in RefusalFaults.model_fields if name not in ANSWER_FAULTS)
DELIVERY_FAULTS = tuple(name for name in EmulatorFaults.model_fields if name not in (*RefusalFaults.model_fields, *_TIMES))
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
    seconds: Seconds | None = None  # in place of hang_s, drip_s, or the retry-after that the limit would give

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
