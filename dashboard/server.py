"""What stands in front of the page whoever starts it: the guard against other sites, and the two routes that give and end control."""

from __future__ import annotations

import html
import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helix_ray._dashboard import shared

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_FORM_BYTES = 4096
_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}")
_PAGE = re.compile(r"/[a-z]*")
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "connect-src 'self' ws://{host} wss://{host}; worker-src 'self' blob:; script-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_REFUSED = (
    '<!doctype html><html lang="en"><title>Helix-Throttle</title><meta name="color-scheme" content="light dark">'
    '<main><h1>Not unlocked</h1><p role="alert">{refusal}</p>{form}<p><a href="/">Back to the page</a></p></main></html>'
)


class Guard:
    """Refuses a request under a strange host name (rebinding) or from another origin, its port included; adds the security headers.

    Streamlit itself lets every local port open the page's socket, and asks an outside service for its own address to judge an origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal, host = refusal_of(scope)
        if refusal and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
            return
        headers = headers_for(host)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        app = PlainTextResponse(refusal, 403) if refusal else self._app
        await app(scope, receive, with_headers if scope["type"] == "http" else send)


def refusal_of(scope: MutableMapping[str, Any]) -> tuple[str, str]:
    """Why the request is refused, or nothing; and the host, with its port, under which the page was asked for."""
    headers = [(name, value.decode("latin-1")) for name, value in scope.get("headers", [])]
    hosts = [value for name, value in headers if name == b"host"]
    host = hosts[0] if len(hosts) == 1 and _HOST.fullmatch(hosts[0]) else ""
    allowed = {*LOOPBACK, *(name.lower() for name in st.get_option("server.allowedHosts"))}
    if _name_of(host) not in allowed:
        return "the page is not served under this host name; allow it with helix monitor --allowed-host", ""
    origins = {value for name, value in headers if name == b"origin"}
    if origins - {f"http://{host}", f"https://{host}"}:
        return "the page takes no requests from other origins", host
    return "", host


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def headers_for(host: str) -> list[tuple[bytes, bytes]]:
    """``host``: as `refusal_of` found it; the page's own WebSocket is named by it."""
    return [
        (b"content-security-policy", (_POLICY.format(host=host) if host else "default-src 'none'; frame-ancestors 'none'").encode()),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"same-origin"),  # with no-referrer a browser would send our own form with the origin null
        (b"x-content-type-options", b"nosniff"),
    ]


def unlock_form(form: str) -> str:
    """A plain form, not one of Streamlit's widgets: only an answer to it can set a cookie, and no session ever holds the code."""
    return (
        f'<form class="hx-unlock" method="post" action="/unlock"><input type="hidden" name="form" value="{html.escape(form)}">'
        '<input type="password" name="code" aria-label="Control code" placeholder="Control code" autocomplete="off" required> '
        "<button>Unlock</button></form>"
    )


LOCK_FORM = '<form class="hx-unlock" method="post" action="/lock"><button>Give up control</button></form>'


async def unlock(request: Request) -> Response:
    """Answers the right code with a session in a cookie, and sends the browser back to the page."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return PlainTextResponse("the form is too long", 413)
    fields = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    form = fields.get("form", "")
    session, refusal = shared.gate().open(fields.get("code", ""), form)
    if session is None:
        return HTMLResponse(_REFUSED.format(refusal=html.escape(refusal), form=unlock_form(form)), 403)
    response = _back(request)
    secure = request.url.scheme == "https"
    response.set_cookie(shared.CONTROL_COOKIE, session, httponly=True, samesite="strict", secure=secure)  # ends with the browser
    return response


async def lock(request: Request) -> Response:
    """Ends the session of this browser, in all its tabs."""
    shared.gate().close(request.cookies.get(shared.CONTROL_COOKIE))
    response = _back(request)
    response.delete_cookie(shared.CONTROL_COOKIE)
    return response


def _back(request: Request) -> Response:
    """To the page that held the form."""
    came_from = urlsplit(request.headers.get("referer", "")).path
    return RedirectResponse(came_from if _PAGE.fullmatch(came_from) and came_from not in ("/unlock", "/lock") else "/", 303)


MIDDLEWARE = [Middleware(Guard)]
ROUTES = [Route("/unlock", unlock, methods=["POST"]), Route("/lock", lock, methods=["POST"])]
