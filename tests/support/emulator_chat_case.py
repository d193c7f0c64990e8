"""A service without sockets, and its clock: one request is one call."""

from __future__ import annotations

import json
from typing import Any

from helix_ray.config.emulator import EmulatorConfig, EmulatorErrorRates
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.emulator.limits import Amounts, BucketSet
from helix_ray.emulator.published import Refused, Reply

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
