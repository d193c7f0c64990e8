"""The shapes of load that bench_throttle.py compares: what the emulator allows, and what is asked of it."""

from __future__ import annotations

from typing import NamedTuple

RECORDS = 400
IN_FLIGHT = 32

SMALL_READS = (
    "run.seed=7",
    "source.mutation.read_length=60",
    "source.mutation.variants_per_read=[0.5,0.5]",
    "analyzer.prompt=raw",
    "analyzer.max_completion_tokens=256",
    "emulator.tier=developer",
    "emulator.latency_scale=1.0",
    "ray.dashboard=false",
)
"""Three of these reads in one request take about 305 tokens each, instructions and answers included."""


class Shape(NamedTuple):
    name: str
    title: str
    window: str | None  # the limit that binds, by the emulator's name; None: no limit does
    settings: tuple[str, ...]  # on top of SMALL_READS
    records: int = RECORDS
    reads_per_request: int = 3
    deadline_s: float = 600.0  # for those that never end by themselves

    def all_settings(self) -> tuple[str, ...]:
        own = (f"source.count={self.records}", f"analyzer.reads_per_request={self.reads_per_request}")
        return (*SMALL_READS, *own, *self.settings)


STEADY = ("emulator.tokens_per_minute=36000", "emulator.requests_per_minute=600")
OUTAGE = "emulator.outages=[{limit: TPD, after_s: 40, for_s: 100, retry_after_s: 432}]"
DOWN = "emulator.outages=[{status: 503, after_s: 40, for_s: 100, retry_after_s: 432}]"
OPENAI = ("emulator.law=openai", "throttle.on_daily_limit=stop")
NEIGHBOUR = "emulator.neighbour={share: 0.5}"


def _roomy(name: str, title: str, *settings: str) -> Shape:
    return Shape(name, title, None, ("emulator.tier=unlimited", *settings), records=1500, reads_per_request=1)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("steady", "36,000 tokens and 600 requests a minute", "TPM", STEADY),
        Shape(
            "requests",
            "120 requests a minute, which no header shows",
            "RPM",
            ("emulator.requests_per_minute=120", "emulator.tokens_per_minute=1000000"),
            records=300,
            reads_per_request=1,
        ),
        Shape(
            "day",
            "200 requests a day, watched for 90 s",
            "RPD",
            ("emulator.requests_per_day=200", "emulator.tokens_per_minute=1000000", "run.max_duration_s=90"),
            reads_per_request=1,
            deadline_s=90.0,
        ),
        Shape(
            "outage", "as steady; no quota from second 40 for 100 s, and retry-after says 432", "TPM", (*STEADY, OUTAGE), deadline_s=900.0
        ),
        Shape("neighbour", "as steady; another client takes half of the tokens", "TPM", (*STEADY, NEIGHBOUR)),
        Shape("openai", "as steady under OpenAI's law; a daily limit would end the run", "TPM", (*STEADY, *OPENAI)),
        *(
            Shape(
                f"fixed-{bound}",
                f"36,000 tokens in each minute of the clock, {bound} reserved for each answer",
                "TPM",
                ("emulator.law=fixed_windows", "emulator.tokens_per_minute=36000", f"analyzer.max_completion_tokens={bound}"),
                records=200,
                reads_per_request=1,  # whose answers take up to 90 tokens
            )
            for bound in (128, 512, 2048)
        ),
        Shape(
            "silent",
            "120 requests a minute; no header, and refusals that name nothing",
            "RPM",
            ("emulator.law=silent", "emulator.requests_per_minute=120"),
            records=300,
            reads_per_request=1,
        ),
        _roomy("overload", "8 requests at once, which nothing says; more are refused with 503", "emulator.overload_capacity=8"),
        _roomy("flaky", "no limits; 2 % of the answers are 503", "emulator.faults.overloaded=0.02"),
        _roomy("calm", "no limits, no 503s"),
        Shape(
            "down", "as steady; the API is out from second 40 for 100 s, and retry-after says 432", "TPM", (*STEADY, DOWN), deadline_s=900.0
        ),
    )
}
