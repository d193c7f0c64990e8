"""The emulator as a raw ASGI application: paths, bodies, waiting. Everything else is in the rooms it calls."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qs

from helix_ray.emulator import messages
from helix_ray.emulator.chat import Admitted, Chat, Reply, is_bearer
from helix_ray.emulator.http_faults import DELIVERED_OTHERWISE, Receive, Send, Wire, left_within, send_whole, serve
from helix_ray.emulator.injector import Injected
from helix_ray.emulator.journal import Journal
from helix_ray.emulator.models import MODELS, models_body
from helix_ray.emulator.protocol import connection_of

Scope = MutableMapping[str, Any]

MAX_BODY_BYTES = 32 * 1024 * 1024
_MAX_PAGE = 10_000


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
            answered = await self._complete(scope, receive, send)
            if answered is None:
                return
            reply = answered
        elif method == "GET":
            reply = self._get(scope, path)
        else:
            reply = Reply(404, [], messages.unknown_url(method, path))
        await send_whole(reply, send)

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """None: a fault has seen to the answer."""
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
        injected = self._injected(scope) if self._chat.injector.active else None
        outcome = self._chat.begin(authorization, retries, body, injected)
        if isinstance(outcome, Reply):
            return outcome
        if injected is not None and injected.name in DELIVERED_OTHERWISE:
            await serve(self._chat, outcome, injected, Wire(connection_of(scope), receive, send))
            return None
        return await self._wait_and_answer(outcome, receive)

    def _injected(self, scope: Scope) -> Injected | None:
        injected = self._chat.injector.next_request()
        connection = connection_of(scope)
        deaf_s, connection.deaf_s = connection.deaf_s, None
        return Injected("slow_accept", deaf_s) if injected is None and deaf_s is not None else injected

    async def _wait_and_answer(self, admitted: Admitted, receive: Receive) -> Reply:
        gone = True  # also when the server is stopped while the answer is being written
        try:
            seconds = admitted.timing.queue_s + admitted.timing.total_s
            gone = seconds > 0 and await left_within(seconds, receive)
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


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
