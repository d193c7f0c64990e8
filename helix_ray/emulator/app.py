"""The emulator as a raw ASGI application: paths, bodies, waiting. Everything else is in the rooms it calls."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from ipaddress import ip_address
from typing import Any

from helix_ray.emulator import messages
from helix_ray.emulator.chat import Admitted, Chat, Reply, is_bearer
from helix_ray.emulator.control import Control
from helix_ray.emulator.http_faults import DELIVERED_OTHERWISE, Send, Wire, send_whole, serve
from helix_ray.emulator.injector import Injected
from helix_ray.emulator.models import MODELS, models_body
from helix_ray.emulator.protocol import connection_of
from helix_ray.emulator.serving import Receive

Scope = MutableMapping[str, Any]

MAX_BODY_BYTES = 32 * 1024 * 1024
_TOO_LARGE = Reply(413, [], messages.error_body("Request Entity Too Large", code="request_too_large"))


class EmulatorApp:
    """``/openai/v1/chat/completions``, ``/openai/v1/models`` under any prefix, and the control plane ``/_ctl/*``.

    The control plane is open to this machine only, whatever address the server listens on.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._models = models_body()
        self._control = Control(chat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the emulator speaks HTTP only, not {scope['type']}")
        path, method = scope["path"], scope["method"]
        if method == "POST" and path.endswith("/openai/v1/chat/completions"):
            answered = await self._complete(scope, receive, send)
            if answered is None:
                return
            reply = answered
        elif path.startswith("/_ctl/"):
            reply = await self._ctl(scope, receive)
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
        body = await _body(receive)
        if body is None:
            return _TOO_LARGE
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
        gone, stretch = True, 1.0  # also when the server is stopped while the answer is being written
        try:
            gone, stretch = await self._chat.serving.serve(admitted.timing, receive)
        finally:
            reply = self._chat.finish(admitted, gone, stretch)
        return reply

    def _get(self, scope: Scope, path: str) -> Reply:
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

    async def _ctl(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        if not _is_local(scope):
            return Reply(403, [], messages.error_body("the control plane is open to the emulator's own machine only"))
        if method == "GET":
            return self._control.get(path, scope["query_string"])
        if (method, path) != ("POST", "/_ctl/set"):
            return Reply(404, [], messages.unknown_url(method, path))
        body = await _body(receive)
        return _TOO_LARGE if body is None else self._control.set(body)


async def _body(receive: Receive) -> bytes | None:
    """The request's body; None if it is too large."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    return client is None or ip_address(client[0]).is_loopback


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
