"""Prompts in every format that the emulator reads, by the letter of its documentation, and a service without sockets."""

import json
import random
from collections.abc import Callable
from typing import Any

from helix_ray.config.emulator import EmulatorConfig, EmulatorErrorRates
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.emulator.limits import Amounts, BucketSet
from helix_ray.emulator.published import Refused, Reply

FORMATS = ("raw", "spaced", "grouped10", "indexed10", "paired_indexed", "assisted_aligned")
Asked = tuple[str, str, str]  # id, window, read


def _groups(bases: str) -> list[str]:
    return [bases[start : start + 10] for start in range(0, len(bases), 10)]


def _indexed(bases: str) -> list[str]:
    return [f"{10 * number + 1}:{group}" for number, group in enumerate(_groups(bases))]


PRINTED: dict[str, Callable[[str], str]] = {
    "raw": lambda bases: bases,
    "spaced": " ".join,
    "grouped10": lambda bases: " ".join(_groups(bases)),
    "indexed10": lambda bases: " ".join(_indexed(bases)),
}


def _alternating(ref: str, read: str) -> str:
    refs, reads = [f"ref {group}" for group in _indexed(ref)], [f"read {group}" for group in _indexed(read)]
    lines = []
    while refs or reads:
        lines += [side.pop(0) for side in (refs, reads) if side]
    return "\n".join(lines)


def prompt(format_: str, *asked: Asked) -> str:
    blocks = []
    for opaque_id, ref, read in asked:
        sizes = f"({len(ref)} and {len(read)} bases)"
        if format_ == "paired_indexed":
            body = f"reference and read {sizes}:\n{_alternating(ref, read)}"
        elif format_ == "assisted_aligned":  # any gaps will do: the emulator finds its truth itself
            width = max(len(ref), len(read))
            body = f"aligned reference and read {sizes}:\n{ref.ljust(width, '-')}\n{read.rjust(width, '-')}"
        else:
            shown = PRINTED[format_]
            body = f"reference ({len(ref)} bases):\n{shown(ref)}\nread ({len(read)} bases):\n{shown(read)}"
        blocks.append(f"id: {opaque_id}\n{body}")
    return "\n\n".join(blocks)


def asked_reads(count: int, seed: int = 1, size: int = 100) -> list[Asked]:
    """Random windows, each with two substitutions that are neither adjacent nor inverted: two variants a read."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        ref = "".join(rng.choices("ACGT", k=size))
        read = list(ref)
        for place in rng.sample(range(10, size - 10, 2), 2):
            read[place] = rng.choice("ACGT".replace(read[place], ""))
        made.append((f"{rng.getrandbits(64):016x}", ref, "".join(read)))
    return made


MODEL = "openai/gpt-oss-20b"
PROMPT = "id: r9\nreference (20 bases):\n1:ACGTTGCAAG 11:CTTACGGATC\nread (20 bases):\n1:ACGTTGCATG 11:CTTACGGATC"
SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "calls": {"type": "array", "items": {"type": "string"}}},
    "required": ["id", "calls"],
    "additionalProperties": False,
}


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return 1_790_000_000.0 + self.now


def payload(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Find the differences."}, {"role": "user", "content": PROMPT}],
        "temperature": 0,
        "seed": 7,
        "max_completion_tokens": 512,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}},
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def chat(time: Time | None = None, **config: Any) -> Chat:
    time = time or Time()
    rates = EmulatorErrorRates(drop=0.0, shift=0.0, hallucinate=0.0)
    return Chat(EmulatorConfig(**{"latency_scale": 0.0, "error_rates": rates, **config}), MODEL, time.monotonic, time.unix)


def begin(service: Chat, *, authorization: str | None = "Bearer any", retries: int | None = 0, **changes: Any) -> Reply | Admitted:
    return service.begin(authorization, retries, json.dumps(payload(**changes)).encode())


def admitted(service: Chat, **changes: Any) -> Admitted:
    outcome = begin(service, **changes)
    assert isinstance(outcome, Admitted)
    return outcome


def ask(service: Chat, **changes: Any) -> Reply:
    outcome = begin(service, **changes)
    return service.finish(outcome, False) if isinstance(outcome, Admitted) else outcome


def admit(buckets: BucketSet, asked: Amounts, now: float) -> Refused | None:
    """Charges every bucket, or none and says which one refuses first."""
    buckets.touch(now)
    refused = buckets.refusal(asked)
    if refused is None:
        buckets.charge(asked)
    return refused


def error(reply: Reply) -> dict[str, Any]:
    body: dict[str, dict[str, Any]] = json.loads(reply.body)
    return body["error"]
