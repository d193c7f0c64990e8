"""The emulator as a raw ASGI application: paths, bodies, waiting. Everything else is in the rooms it calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from helix_ray.emulator import messages
from helix_ray.emulator.chat import Admitted, Chat, Reply, is_bearer
from helix_ray.emulator.journal import Journal
from helix_ray.emulator.models import MODELS, models_body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 32 * 1024 * 1024
_MAX_PAGE = 10_000
_JSON: messages.Headers = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"private, max-age=0, no-store, no-cache, must-revalidate"),
    (b"vary", b"Origin"),
    (b"server", b"helix-emulator"),
]


class EmulatorApp:
    """``/openai/v1/chat/completions``, ``/openai/v1/models`` under any prefix, and the control plane ``/_ctl/*``.

    The control plane is read-only and open to whoever reaches the port; the server binds to loopback by default.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._models = models_body()
        self._journals: dict[str, Journal[Any]] = {"/_ctl/ledger": chat.ledger.entries, "/_ctl/reads": chat.ledger.reads}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the emulator speaks HTTP only, not {scope['type']}")
        path, method = scope["path"], scope["method"]
        if method == "POST" and path.endswith("/openai/v1/chat/completions"):
            reply = await self._complete(scope, receive)
        elif method == "GET":
            reply = self._get(scope, path)
        else:
            reply = Reply(404, [], messages.unknown_url(method, path))
        headers = [*_JSON, *reply.headers, (b"content-length", b"%d" % len(reply.body))]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _complete(self, scope: Scope, receive: Receive) -> Reply:
        authorization = retries = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"x-stainless-retry-count":
                retries = int(value) if value.isdigit() else None
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                return Reply(413, [], messages.error_body("Request Entity Too Large", code="request_too_large"))
        outcome = self._chat.begin(authorization, retries, body)
        if isinstance(outcome, Reply):
            return outcome
        return await self._wait_and_answer(outcome, receive)

    async def _wait_and_answer(self, admitted: Admitted, receive: Receive) -> Reply:
        gone = True  # also when the server is stopped while the answer is being written
        try:
            seconds = admitted.timing.queue_s + admitted.timing.total_s
            gone = seconds > 0 and await _left_within(seconds, receive)
        finally:
            reply = self._chat.finish(admitted, gone)
        return reply

    def _get(self, scope: Scope, path: str) -> Reply:
        if path.startswith("/_ctl/"):
            return self._control(path, scope["query_string"])
        _, found, model = path.partition("/openai/v1/models")
        if not found or (model and model[0] != "/"):
            return Reply(404, [], messages.unknown_url("GET", path))
        authorization = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), None)
        if not is_bearer(authorization):
            return Reply(401, [], messages.invalid_key())
        model = model[1:]
        if not model:
            return Reply(200, [], self._models)
        if model not in MODELS:
            return Reply(404, [], messages.model_not_found(model))
        return Reply(200, [], _json(MODELS[model].wire()))

    def _control(self, path: str, query: bytes) -> Reply:
        if path == "/_ctl/summary":
            return Reply(200, [], _json(self._chat.summary()))
        journal = self._journals.get(path)
        if journal is not None:
            asked = parse_qs(query.decode("latin-1"))
            offset, limit = asked.get("offset", ["0"])[0], asked.get("limit", ["1000"])[0]
            if not (offset.isdecimal() and limit.isdecimal()):
                return Reply(400, [], messages.error_body("offset and limit must be whole numbers"))
            return Reply(200, [], _json(journal.page(int(offset), min(int(limit), _MAX_PAGE))))
        return Reply(404, [], messages.unknown_url("GET", path))


async def _left_within(seconds: float, receive: Receive) -> bool:
    """Waits; True as soon as the client hangs up. After the body, the only message a client can send is its leaving."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
