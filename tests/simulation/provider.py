"""The API of a simulated run, and its ledger: what arrived, what was billed, and which answers reached a client."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from helix_ray.backends.chat import ChatReply, TransportFailure
from simulation.loop import PROCESS, Process
from support.scripted_llm import Call, answer_text, api_error, chat_reply, completion, is_packed, prompted_ids
from support.throttle_world import ModelBucket

if TYPE_CHECKING:
    from simulation.world import World

CALL: ContextVar[str] = ContextVar("call", default="")
"""The id of the record of the request that this task sends."""
COMPLETION_TOKENS = 30
TOLERANCE = 1e-6


@dataclass(eq=False)
class Ask:
    """One request, as the provider's ledger has it."""

    request_id: str
    reads: tuple[int, ...]
    kind: str
    client: Process
    call_id: str  # of its record in the database
    left: float
    arrived: float | None = None  # None: it never did
    status: int = 0
    worst_usd: Decimal = Decimal(0)
    billed_usd: Decimal = Decimal(0)
    usable: tuple[int, ...] = ()  # reads for which the answer holds something
    delivered: float | None = None  # when the client had the whole body
    limited: str | None = None  # by which limit


@dataclass
class Limits:
    """Of the provider. None: not limited."""

    requests: ModelBucket | None = None
    tokens: ModelBucket | None = None


@dataclass
class Provider:
    world: "World"
    truth: dict[str, tuple[int, Call]]  # by opaque id: the read and its only variant
    poor: set[int]  # reads about which only a repair gets something usable
    prompt_usd: Decimal  # of a token
    completion_usd: Decimal
    limits: Limits = field(default_factory=Limits)
    failing: float = 0.0  # share of requests that get a 500
    losing: float = 0.0  # share of answers that are billed and lost
    closed_until: float = 0.0  # until when every request gets a 429 with retry-after
    closings: list[tuple[float, float]] = field(default_factory=list)
    latency_s: tuple[float, float] = (0.05, 0.6)
    ledger: list[Ask] = field(default_factory=list)

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> ChatReply | TransportFailure:
        world, client = self.world, PROCESS.get()
        assert client is not None
        await world.point(f"{client.name}: before the request is sent")
        reads = tuple(self.truth[name][0] for name in prompted_ids(payload))
        kind = "repair" if payload["seed"] != world.config.run.seed else "analysis"
        ask = Ask(f"req_{len(self.ledger)}", reads, kind, client, CALL.get(), world.loop.now)
        self.ledger.append(ask)
        answered: asyncio.Future[ChatReply | TransportFailure] = world.loop.create_future()
        world.later(world.random.uniform(0.002, 0.03), self._arrive, ask, payload, answered)
        await world.point(f"{client.name}: after the request is sent")
        await asyncio.wait({answered}, timeout=timeout_s)
        await world.point(f"{client.name}: before the answer is received")
        if not answered.done():
            return TransportFailure("unknown", "deadline", "no whole answer", timeout_s)
        reply = answered.result()
        if isinstance(reply, ChatReply):
            ask.delivered = world.loop.now
        return reply

    def stored(self, status: int, body: bytes, latency_s: float) -> ChatReply:
        return chat_reply(status, {}, body, latency_s)

    async def aclose(self) -> None:
        """Nothing to close."""

    def _arrive(self, ask: Ask, payload: dict[str, Any], answered: "asyncio.Future[Any]") -> None:
        world, now = self.world, self.world.loop.now
        ask.arrived = now
        world.note(f"ask {ask.reads} {ask.kind}")
        prompt = sum(len(message["content"]) for message in payload["messages"]) // 4
        room = payload["max_completion_tokens"]
        used = room if world.plan.wordy else COMPLETION_TOKENS * len(ask.reads)
        ask.worst_usd = prompt * self.prompt_usd + room * self.completion_usd
        if now < self.closed_until:
            self._reply(ask, answered, _limited("requests", 30, 30, 1, self.closed_until - now))
            return
        for name, bucket, amount in (("requests", self.limits.requests, 1), ("tokens", self.limits.tokens, prompt + room)):
            if bucket is not None and (over := bucket.now(now) + amount - bucket.limit) > TOLERANCE:
                ask.limited = name
                self._reply(ask, answered, _limited(name, bucket.limit, bucket.used, amount, over / bucket.limit * bucket.window_s))
                return
        chance = world.random.random()
        if chance < self.failing:
            self._reply(ask, answered, api_error(500, "internal error"))
            return
        for bucket, amount in ((self.limits.requests, 1), (self.limits.tokens, prompt + used)):
            if bucket is not None:
                bucket.used += amount
        ask.billed_usd = prompt * self.prompt_usd + used * self.completion_usd
        ask.usable = tuple(index for index in ask.reads if ask.kind == "repair" or index not in self.poor)
        answers = [(name, [call]) for name in prompted_ids(payload) for index, call in [self.truth[name]] if index in ask.usable]
        content = answer_text(answers, is_packed(payload)) if answers else "nothing to say"
        reply = completion(payload, content=content, prompt_tokens=prompt, completion_tokens=used)
        body = reply.body.replace(b"req_scripted", ask.request_id.encode())
        lost = chance < self.failing + self.losing
        self._reply(ask, answered, TransportFailure("unknown", "reset", "reset") if lost else chat_reply(200, reply.headers, body))

    def _reply(self, ask: Ask, answered: "asyncio.Future[Any]", reply: ChatReply | TransportFailure) -> None:
        ask.status = reply.status if isinstance(reply, ChatReply) else 0
        self.world.later(self.world.random.uniform(*self.latency_s), _resolve, answered, reply)

    def close_for(self, seconds: float) -> None:
        now = self.world.loop.now
        self.closed_until = now + seconds
        self.closings.append((now, now + seconds))


def _resolve(answered: "asyncio.Future[Any]", reply: object) -> None:
    if not answered.done():
        answered.set_result(reply)


def _limited(name: str, limit: float, used: float, amount: float, wait_s: float) -> ChatReply:
    short = {"requests": "RPM", "tokens": "TPM"}[name]
    told = (
        f"Rate limit reached for model `m` in organization `o` service tier `on_demand` on {name} per minute ({short}): "
        f"Limit {limit:.0f}, Used {used:.0f}, Requested {amount:.0f}. Please try again in {wait_s:.3f}s."
    )
    return api_error(429, told, "rate_limit_exceeded", {"retry-after": str(max(1, int(wait_s + 0.999)))})
