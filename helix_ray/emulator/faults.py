"""Faults on purpose, by script or by chance: outages, refusals of good requests, and answers lost, broken or late on their way."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import ceil
from typing import Literal, NamedTuple, Protocol

from helix_ray.config.emulator import DELIVERY_FAULTS, REFUSALS, EmulatorFaults, EmulatorOutage, ScriptedFault
from helix_ray.emulator import published
from helix_ray.emulator.laws import seconds
from helix_ray.emulator.limits import MEASURE, Amounts, BucketSet, amounts
from helix_ray.emulator.published import HTML_HEAD, NS, WINDOW_S, Headers, Refused, Reply, error_body, wait_ns
from helix_ray.emulator.request import ChatRequest, parse_pairs
from helix_ray.emulator.scripted_model import Draws
from helix_ray.emulator.timing import Message, Receive, left_within

_OF_CONNECTIONS = "slow_accept"


class Injected(NamedTuple):
    """A fault for one request. ``seconds``: how long it takes, or the wait in a limit's refusal; None: no matter."""

    name: str
    seconds: float | None = None


class Injector:
    """Decides which fault of HTTP or the connection hits the next request, counted from the last `set`. Each kind has its own
    stream, seeded by (seed, kind), and draws once per request: one rate moves no other fault.
    """

    def __init__(self, seed: int, rates: EmulatorFaults, script: Sequence[ScriptedFault] = ()) -> None:
        self._seed = seed
        self.set(rates, script)

    def set(self, rates: EmulatorFaults, script: Sequence[ScriptedFault] = ()) -> None:
        chances = [(name, getattr(rates, name)) for name in (*REFUSALS, *DELIVERY_FAULTS)]
        self._streams = [(name, rate, Draws(f"{self._seed}|fault|{name}")) for name, rate in chances if rate > 0]
        self._script = list(script)
        self._seconds = {**dict.fromkeys(("hang_before", "hang_body", _OF_CONNECTIONS), rates.hang_s), "drip": rates.drip_s}
        self._requests = self._connections = 0
        self.active = bool(self._streams or script)  # False: there is nothing to inject

    def next_request(self) -> Injected | None:
        """The fault of the next request; the script goes first, then the kinds in their order."""
        self._requests += 1
        return self._next(self._requests, of_connection=False)

    def next_connection(self) -> float | None:
        """How many seconds nothing is read from the next connection; None: it is served at once."""
        self._connections += 1
        injected = self._next(self._connections, of_connection=True)
        return None if injected is None else injected.seconds

    def _next(self, number: int, *, of_connection: bool) -> Injected | None:
        streams = [each for each in self._streams if (each[0] == _OF_CONNECTIONS) is of_connection]
        drawn = [(name, None) for name, rate, stream in streams if stream.uniform() < rate]
        script = [step for step in self._script if (step.fault == _OF_CONNECTIONS) is of_connection]
        hits = [*((step.fault, step.seconds) for step in script if step.hits(number)), *drawn]
        if not hits:
            return None
        name, seconds = hits[0]
        return Injected(name, self._seconds.get(name) if seconds is None else seconds)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

HUNG_UP = 0
OVERLOADED_WAIT_S = 2
_PAGE = "<!DOCTYPE html>\n<html>\n<head><title>{0}</title></head>\n<body>\n<center><h1>{0}</h1></center>\n</body>\n</html>\n"


class Refusal(NamedTuple):
    """What the client gets in place of an answer."""

    status: int  # HUNG_UP: the connection is closed without an answer
    body: bytes
    buckets: BucketSet | None = None  # shown in the headers; None: no such headers
    kind: str | None = None  # of limit, for 413 and 429
    retry_after: Sequence[tuple[bytes, bytes]] = ()  # headers
    shown: Refused | None = None  # in the headers, in place of what the buckets say
    head: Headers = published.JSON_HEAD
    fault: str | None = None  # the refusal is on purpose


_SAME_FOR_ALL = {
    "internal": Refusal(500, published.INTERNAL_ERROR),
    "bad_gateway": Refusal(502, _PAGE.format("502 Bad Gateway").encode(), head=HTML_HEAD),
    "request_timeout": Refusal(408, error_body("Request Timeout")),
    "conflict": Refusal(409, error_body("Conflict")),
    "cancelled": Refusal(499, error_body("Request cancelled")),
    "bad_parameter": Refusal(400, error_body("'temperature' : value is not supported with this model", param="temperature")),
    "unprocessable": Refusal(422, error_body("The request was well-formed and could not be followed. Please verify it and try again.")),
    "dependency": Refusal(424, error_body("A dependency of this request failed.")),
    "unauthorized": Refusal(401, published.INVALID_KEY),
    "forbidden": Refusal(403, error_body("This project may not use this model.", "permissions_error", "model_permission_blocked_project")),
    "forbidden_html": Refusal(403, _PAGE.format("403 Forbidden").encode(), head=HTML_HEAD),
    "spend_limit": Refusal(400, published.BLOCKED_API_ACCESS),
}
_NAMING_THE_MODEL: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "capacity": (498, published.capacity_exceeded),
    "overloaded": (503, published.over_capacity),
    "overloaded_wait": (503, published.over_capacity),
    "model_gone": (404, published.model_not_found),
    "decommissioned": (400, published.model_decommissioned),
}


def scripted_refusal(injected: Injected, request: ChatRequest, buckets: BucketSet) -> Refusal:
    """Refuse a good request. Precondition: ``injected`` is one of REFUSALS."""
    name, length_s = injected
    if name in _SAME_FOR_ALL:
        made = _SAME_FOR_ALL[name]
    elif name in _NAMING_THE_MODEL:
        status, body_of = _NAMING_THE_MODEL[name]
        made = Refusal(status, body_of(request.model.id))
        if name == "overloaded_wait":
            made = made._replace(retry_after=seconds(NS * (OVERLOADED_WAIT_S if length_s is None else ceil(length_s))))
    elif name == "too_large":  # as if the limit were one token too small
        refused = Refused("TPM", request.requested - 1, 0, request.requested)
        body = buckets.law.beyond(refused, request.model.id, request.service_tier)
        made = Refusal(buckets.law.too_large_status, body, kind="TPM")
    elif name == "json_validate_failed":
        made = _not_generated(request)
    else:
        made = _limited(name.removeprefix("limit_").upper(), length_s, request, buckets)
    return made._replace(buckets=buckets, fault=name)


def _limited(kind: str, length_s: float | None, request: ChatRequest, buckets: BucketSet) -> Refusal:
    """As if this bucket were full to the brim, or so much above it that the law makes the client wait ``length_s``."""
    limit = buckets.limit_of(kind)
    if limit is None:  # where the tier has no such limit, one is named that could never bind
        tokens = buckets.tokens_shown.limit
        limit = {"RPM": buckets.requests_shown.limit, "TPD": tokens * 1440}.get(kind, tokens)
    refused = _waiting(kind, limit, amounts(request.prompt_tokens, request.max_completion_tokens), length_s)
    return refusal_of(refused, buckets, request.model.id, request.service_tier)._replace(shown=refused)


def refusal_of(refused: Refused, buckets: BucketSet, model: str, service_tier: str) -> Refusal:
    """A 429 as the law of ``buckets`` words it."""
    law = buckets.law
    return Refusal(429, law.rate_limited(refused, model, service_tier), buckets, refused.kind, law.retry_after(wait_ns(refused)))


def _waiting(kind: str, limit: int, asked: Amounts, seconds: float | None) -> Refused:
    """The figures from which the bucket law computes a wait of ``seconds``; None: those of a bucket that is exactly full."""
    requested = asked[MEASURE[kind]]
    over = requested if seconds is None else ceil(limit * seconds / WINDOW_S[kind])
    return Refused(kind, limit, max(0, limit + over - requested), requested)


def _not_generated(request: ChatRequest) -> Refusal:
    """Of all errors the one that looks most like an answer: it holds what the model wrote."""
    pairs = parse_pairs(request.last_user_message)
    error = {
        "message": "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
        "type": "invalid_request_error",
        "code": "json_validate_failed",
        "failed_generation": f'{{"id":"{pairs[0].opaque_id}","calls":[{{"pos":1,"ref":"A","alt":"C"' if pairs else "",
    }
    return Refusal(400, json.dumps({"error": error}, separators=(",", ":")).encode())


# ── outages ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_NEVER_REACHED = 10  # times what the minute's limit lets through


class Active(NamedTuple):
    outage: EmulatorOutage
    ends_in_s: float


class Outages:
    """Limits that refuse every request for a while, or an API that is out, by a script whose clock, in monotonic seconds,
    starts with `begin`; until then nothing is out.
    """

    def __init__(self, script: Sequence[EmulatorOutage]) -> None:
        self._script = list(script)
        self._origin: float | None = None

    def begin(self, now: float) -> None:
        """Start the script's clock, if there is a script. Idempotent."""
        if self._script and self._origin is None:
            self._origin = now

    def replace(self, script: Sequence[EmulatorOutage], now: float) -> None:
        """Set a new script whose clock starts now."""
        self._script = list(script)
        self._origin = now

    def active(self, now: float, *, of_limit: bool) -> Active | None:
        """The outage of a limit, or else of the API, that lasts at ``now``."""
        if self._origin is None:
            return None
        elapsed = now - self._origin
        for outage in self._script:
            if (outage.limit is not None) is of_limit and outage.after_s <= elapsed < outage.after_s + outage.for_s:
                return Active(outage, outage.after_s + outage.for_s - elapsed)
        return None

    def summary(self, now: float) -> dict[str, object]:
        active = self.active(now, of_limit=False) or self.active(now, of_limit=True)
        return {
            "scripted": len(self._script),
            "clock_s": None if self._origin is None else round(now - self._origin, 6),
            "active": None if active is None else {**active.outage.model_dump(), "ends_in_s": round(active.ends_in_s, 6)},
        }


def api_is_out(active: Active) -> Refusal:
    status = active.outage.status
    if status == "close":
        return Refusal(HUNG_UP, b"")
    body = published.INTERNAL_ERROR if status == 500 else published.over_capacity("The API")
    wait_s = active.outage.retry_after_s
    return Refusal(status, body, retry_after=() if wait_s is None else seconds(NS * wait_s))


def limit_is_out(active: Active, buckets: BucketSet, asked: Amounts, model: str, service_tier: str) -> Refusal:
    """The figures shown are those from which the bucket law would compute the wait, or a little more, being whole numbers."""
    outage = active.outage
    assert outage.limit is not None
    limit = buckets.limit_of(outage.limit)
    if limit is None:
        # Far more than the minute's tokens allow, so that a client that believes it is not held back by it afterwards.
        limit = _NEVER_REACHED * buckets.tokens_shown.limit * (WINDOW_S[outage.limit] // 60)
    wait_s = outage.retry_after_s or max(1, ceil(active.ends_in_s))
    refused = _waiting(outage.limit, limit, asked, wait_s)
    return refusal_of(refused, buckets, model, service_tier)._replace(shown=refused, retry_after=buckets.law.retry_after(NS * wait_s))


# ── answers that were paid for and do not arrive ─────────────────────────────────────────────────────────────────────────

Send = Callable[[Message], Awaitable[None]]

Delivery = Literal["whole", "lost", "left"]
"""How an answer ended: with the client, nowhere, or with a client that left before it."""

_MOMENT = b"<!DOCTYPE html>\n<html><body>Just a moment...</body></html>\n"
_ENDLESS = b" " * 65_536  # blanks after JSON change nothing: only its length is wrong with this body


class Breakable(Protocol):
    """A connection that can be ended without an answer."""

    def close(self) -> None: ...
    def reset(self) -> None: ...


def head(reply: Reply) -> Message:
    headers = [*reply.head, *reply.headers, (b"content-length", b"%d" % len(reply.body))]
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def send_whole(reply: Reply, send: Send) -> None:
    await send(head(reply))
    await send({"type": "http.response.body", "body": reply.body})


class Wire(NamedTuple):
    """One request's way back to its client."""

    connection: Breakable
    receive: Receive
    send: Send

    async def part(self, piece: bytes) -> None:
        await self.send({"type": "http.response.body", "body": piece, "more_body": True})

    async def half(self, reply: Reply) -> None:
        await self.send(head(reply))
        await self.part(reply.body[: len(reply.body) // 2])

    async def cut(self, by_reset: bool) -> Delivery:
        (self.connection.reset if by_reset else self.connection.close)()
        while (await self.receive())["type"] != "http.disconnect":
            pass
        return "lost"


Effect = Callable[[Reply, Wire, float], Awaitable[Delivery]]


async def _as_it_is(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    await send_whole(reply, wire.send)
    return "whole"


async def _changed(change: Callable[[Reply], Reply], reply: Reply, wire: Wire, seconds: float) -> Delivery:
    await send_whole(change(reply), wire.send)
    return "lost"


def _wrong_types(reply: Reply) -> Reply:
    body = json.loads(reply.body)
    body["choices"][0]["message"]["content"] = 42
    body["usage"] = dict.fromkeys(body["usage"], "many")
    return reply._replace(body=json.dumps(body).encode())


async def _cut(reply: Reply, wire: Wire, seconds: float, *, in_body: bool, by_reset: bool) -> Delivery:
    if in_body:
        await wire.half(reply)
    return await wire.cut(by_reset)


async def _hang_before(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    return "left" if await left_within(seconds, wire.receive) else await _as_it_is(reply, wire, seconds)


async def _hang_body(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    await wire.half(reply)
    if await left_within(seconds, wire.receive):
        return "left"
    await wire.send({"type": "http.response.body", "body": reply.body[len(reply.body) // 2 :]})
    return "whole"


async def _drip(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    await wire.send(head(reply))
    for at in range(len(reply.body)):
        await wire.part(reply.body[at : at + 1])
        if await left_within(seconds, wire.receive):
            return "left"
    await wire.send({"type": "http.response.body", "body": b""})
    return "whole"


async def _endless(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    await wire.send({"type": "http.response.start", "status": 200, "headers": [*reply.head, *reply.headers]})
    piece = reply.body
    while not await left_within(0, wire.receive):
        await wire.part(piece)
        piece = _ENDLESS
    return "left"


async def _idle_close(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    await send_whole(reply, wire.send)
    wire.connection.close()
    return "whole"


DELIVERIES: dict[str, Effect] = {
    "truncated_json": partial(_changed, lambda reply: reply._replace(body=reply.body[: 2 * len(reply.body) // 3])),
    "empty_body": partial(_changed, lambda reply: reply._replace(body=b"")),
    "html_200": partial(_changed, lambda reply: reply._replace(body=_MOMENT, head=HTML_HEAD)),
    "no_choices": partial(_changed, lambda reply: reply._replace(body=json.dumps({**json.loads(reply.body), "choices": []}).encode())),
    "wrong_types": partial(_changed, _wrong_types),
    "reset_before": partial(_cut, in_body=False, by_reset=True),
    "close_before": partial(_cut, in_body=False, by_reset=False),
    "reset_body": partial(_cut, in_body=True, by_reset=True),
    "close_body": partial(_cut, in_body=True, by_reset=False),
    "hang_before": _hang_before,
    "hang_body": _hang_body,
    "endless_body": _endless,
    "drip": _drip,
    "idle_close": _idle_close,
    "slow_accept": _as_it_is,
}
"""What each of DELIVERY_FAULTS does to an answer, given its ``seconds``."""
