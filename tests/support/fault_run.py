"""One analyzer, its engine and the real SDK, against a server that misbehaves: what was sent, what was stored, what it came to."""

import asyncio
import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fix_analyzer import FakeQueue, FakeSink, FakeThrottle
from helix_ray.analyzer.engine import AnalysisEngine
from helix_ray.backends.chat import ChatReply, HttpReply, TransportFailure
from helix_ray.backends.groq_client import GroqChat
from helix_ray.clock import SystemClock
from helix_ray.config import Config
from helix_ray.records import CallState, Disposition, Read
from helix_ray.throttle.messages import AcquireReply, Permit, PermitRequest, Settlement


class TieredThrottle(FakeThrottle):
    """Grants everything at the tier that is wanted; tells when ``patience`` requests were settled."""

    def __init__(self, patience: int = 0) -> None:
        super().__init__()
        self._patience = patience
        self.exhausted = asyncio.Event()

    async def settle(self, settlements: list[Settlement]) -> None:
        await super().settle(settlements)
        if len(self.settlements) >= self._patience > 0:
            self.exhausted.set()

    async def acquire(self, wants: list[PermitRequest]) -> AcquireReply:
        self.wants += wants
        return AcquireReply(
            [Permit(want.want_id, f"e-{len(self.wants)}", 120.0, "flex" if want.service_tier == "flex" else "on_demand") for want in wants],
            None,
        )


class RecordingChat:
    """The SDK, and what it was given to send."""

    def __init__(self, chat: GroqChat) -> None:
        self._chat = chat
        self.payloads: list[dict[str, Any]] = []

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> ChatReply | TransportFailure:
        self.payloads.append(copy.deepcopy(payload))
        return await self._chat.complete(payload, timeout_s)

    def stored(self, status: int, body: bytes, latency_s: float) -> ChatReply:
        return self._chat.stored(status, body, latency_s)

    async def models(self, timeout_s: float = 20.0) -> HttpReply | TransportFailure:
        return await self._chat.models(timeout_s)

    async def aclose(self) -> None:
        await self._chat.aclose()


@dataclass
class Run:
    """What became of the reads, seen from outside."""

    queue: FakeQueue
    ended: str = ""
    throttle: TieredThrottle = field(default_factory=TieredThrottle)
    sink: FakeSink = field(default_factory=FakeSink)
    payloads: list[dict[str, Any]] = field(default_factory=list)

    def outcome(self) -> str:
        """What the fault led to, told by nothing but what was sent and stored."""
        if self.ended == "refused":
            return "stop the run"
        (result,) = self.sink.results
        if result.disposition is Disposition.DEAD_LETTER:
            return f"dead letter {result.error_kind}"
        assert result.attempts == 1
        first, second = self.payloads[:2] if len(self.payloads) > 1 else (self.payloads[0], self.payloads[0])
        if any(call.kind == "repair" for call in self.sink.calls):
            more = second["max_completion_tokens"] == 2 * first["max_completion_tokens"]
            return "repair with more room" if more else "repair"
        if second["max_completion_tokens"] < first["max_completion_tokens"]:
            return "shrink"
        if second["service_tier"] != first["service_tier"]:
            return "other tier"
        if self.throttle.settlements[0].limited is not None:
            return "wait"
        if any(want.retry for want in self.throttle.wants):
            return "retry"
        return "rest" if len(self.sink.calls) > 1 else "answered"

    def books_are_complete(self) -> None:
        """A dead letter holds no answer, and every request has its end in the ledger and at the throttle."""
        for result in self.sink.results:
            if result.disposition is Disposition.STORED:
                assert [(row.side, row.match) for row in result.variants][:2] == [("truth", "TP"), ("call", "TP")]
            else:
                assert result.raw_answer is None
                assert result.error
        assert len(self.sink.calls) == len(self.throttle.settlements) == len({call.call_id for call in self.sink.calls})
        assert {call.state for call in self.sink.calls} <= {CallState.ANSWERED, CallState.FAILED, CallState.POSSIBLY_BILLED}


async def run_one_analyzer(
    url: str, reads: Sequence[Read], *, throttle: TieredThrottle | None = None, max_attempts: int = 1, **analyzer: Any
) -> Run:
    config = Config.model_validate(
        {
            "analyzer": {"requests_in_flight": 2, "request_timeout_s": 1.0, "max_completion_tokens": 256, **analyzer},
            "retry": {"max_attempts": max_attempts, "base_delay_s": 0.001, "max_delay_s": 0.01},
        }
    )
    clock = SystemClock()
    it = Run(FakeQueue(reads, True, clock), throttle=throttle or TieredThrottle())
    chat = RecordingChat(GroqChat("gsk_any", url, 8))
    it.payloads = chat.payloads
    engine = AnalysisEngine(config, it.queue, it.throttle, it.sink, chat, clock=clock, nonce="run", rng=random.Random(1), linger_s=0.0)
    try:
        it.ended = await engine.run()
    finally:
        await chat.aclose()
    return it
