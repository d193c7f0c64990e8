"""The page with the headers that keep other sites out: ``streamlit run dashboard/server.py``, what ``helix monitor`` does."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST = re.compile(rb"[A-Za-z0-9.\-\[\]:]{1,255}")
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "connect-src 'self'{socket}; worker-src 'self' blob:; script-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class SecurityHeaders:
    """Adds the content security policy and the headers beside it to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_for(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        await self._app(scope, receive, with_headers)


def headers_for(scope: MutableMapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The page's own WebSocket is named by the address under which the page was asked for; a strange one is left out."""
    host = next((value for name, value in scope.get("headers", []) if name == b"host"), b"")
    socket = f" ws://{host.decode()} wss://{host.decode()}" if _HOST.fullmatch(host) else ""
    return [
        (b"content-security-policy", _POLICY.format(socket=socket).encode()),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]


app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(SecurityHeaders)])
