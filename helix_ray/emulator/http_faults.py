"""Answers that were paid for and do not arrive: lost, broken or late on their way, on purpose."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, NamedTuple

from helix_ray.emulator import messages
from helix_ray.emulator.chat import Admitted, Chat, Reply, Settled
from helix_ray.emulator.injector import Injected
from helix_ray.emulator.protocol import Connection
from helix_ray.emulator.serving import Receive, left_within

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

Delivery = Literal["whole", "lost", "left"]
"""How an answer ended: with the client, nowhere, or with a client that did not wait for it."""

_ENDLESS = b" " * 65_536  # blanks after JSON change nothing: only its length is wrong with this body
_NOTICE_S = 0.02
"""A client that left while nobody read is noticed only after its request was read; this long at most."""


def head(reply: Reply, length: int | None = None) -> Message:
    """``length`` None: the body's own."""
    size = len(reply.body) if length is None else length
    headers = [*reply.head, *reply.headers, (b"content-length", b"%d" % size)]
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def send_whole(reply: Reply, send: Send) -> None:
    await send(head(reply))
    await send({"type": "http.response.body", "body": reply.body})


class Wire(NamedTuple):
    """One request's way back to its client."""

    connection: Connection
    receive: Receive
    send: Send

    async def part(self, piece: bytes) -> None:
        await self.send({"type": "http.response.body", "body": piece, "more_body": True})

    async def half(self, reply: Reply) -> None:
        await self.send(head(reply))
        await self.part(reply.body[: len(reply.body) // 2])

    async def cut(self, by_reset: bool) -> Delivery:
        if by_reset:
            self.connection.reset()
        else:
            self.connection.close()
        while (await self.receive())["type"] != "http.disconnect":
            pass
        return "lost"


async def serve(chat: Chat, admitted: Admitted, injected: Injected, wire: Wire) -> None:
    """Waits as long as the model takes, settles and bills, and then does to the answer what ``injected`` says."""
    delivery: Delivery = "left"  # also when the server is stopped meanwhile
    happened: str | None = injected.name if injected.name == "slow_accept" else None
    settled: Settled | None = None
    try:
        gone, stretch = await chat.serving.serve(admitted.timing, wire.receive)
        if not gone and injected.name == "slow_accept":
            gone = await left_within(_NOTICE_S, wire.receive)
        settled = chat.settle(admitted, stretch)
        if not gone:
            happened = injected.name
            delivery = await _EFFECTS[injected.name](settled.reply, wire, injected.seconds or 0.0)
    finally:
        if settled is None:
            settled = chat.settle(admitted)
        chat.record(admitted, settled.charged, delivery == "whole", 499 if delivery == "left" else 200, happened, delivery == "lost")


# ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

Effect = Callable[[Reply, Wire, float], Awaitable[Delivery]]


def _sent_as(change: Callable[[Reply], Reply]) -> Effect:
    async def send(reply: Reply, wire: Wire, seconds: float) -> Delivery:
        await send_whole(change(reply), wire.send)
        return "lost"

    return send


def _cut(in_body: bool, by_reset: bool) -> Effect:
    async def cut(reply: Reply, wire: Wire, seconds: float) -> Delivery:
        if in_body:
            await wire.half(reply)
        return await wire.cut(by_reset)

    return cut


def _wrong_types(reply: Reply) -> Reply:
    body = json.loads(reply.body)
    body["choices"][0]["message"]["content"] = 42
    body["usage"] = dict.fromkeys(body["usage"], "many")
    return reply._replace(body=json.dumps(body).encode())


def _no_choices(reply: Reply) -> Reply:
    return reply._replace(body=json.dumps({**json.loads(reply.body), "choices": []}).encode())


def _page(reply: Reply) -> Reply:
    return reply._replace(body=b"<!DOCTYPE html>\n<html><body>Just a moment...</body></html>\n", head=messages.HTML_HEAD)


async def _hang_before(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    if await left_within(seconds, wire.receive):
        return "left"
    await send_whole(reply, wire.send)
    return "whole"


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


async def _as_it_is(reply: Reply, wire: Wire, seconds: float) -> Delivery:
    await send_whole(reply, wire.send)
    return "whole"


_EFFECTS: dict[str, Effect] = {
    "truncated_json": _sent_as(lambda reply: reply._replace(body=reply.body[: 2 * len(reply.body) // 3])),
    "empty_body": _sent_as(lambda reply: reply._replace(body=b"")),
    "html_200": _sent_as(_page),
    "no_choices": _sent_as(_no_choices),
    "wrong_types": _sent_as(_wrong_types),
    "reset_before": _cut(in_body=False, by_reset=True),
    "close_before": _cut(in_body=False, by_reset=False),
    "reset_body": _cut(in_body=True, by_reset=True),
    "close_body": _cut(in_body=True, by_reset=False),
    "hang_before": _hang_before,
    "hang_body": _hang_body,
    "endless_body": _endless,
    "drip": _drip,
    "idle_close": _idle_close,
    "slow_accept": _as_it_is,
}
DELIVERED_OTHERWISE = frozenset(_EFFECTS)
