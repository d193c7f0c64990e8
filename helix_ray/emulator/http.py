"""The emulator over HTTP: a raw ASGI application, its control plane, sockets that it can break, and the server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from pydantic import ValidationError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.chat import Admitted, Chat, is_bearer
from helix_ray.emulator.faults import DELIVERIES, HUNG_UP, Delivery, Injected, Injector, Send, Wire, send_whole
from helix_ray.emulator.published import INVALID_KEY, MODELS, Reply, error_body, model_not_found, models_body, unknown_url
from helix_ray.emulator.records import Journal
from helix_ray.emulator.timing import Receive

Scope = MutableMapping[str, Any]

MAX_BODY_BYTES = 32 * 1024 * 1024
_TOO_LARGE = Reply(413, [], error_body("Request Entity Too Large", code="request_too_large"))
_NOTICE_S = 0.02
"""A client that leaves while nothing is read is noticed only after its request was read; this long at most."""


class EmulatorApp:
    """``/openai/v1/chat/completions``, ``/openai/v1/models`` under any prefix, and the control plane ``/_ctl/*``, which is open
    to this machine only, whatever address the server listens on.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._control = Control(chat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the emulator speaks HTTP only, not {scope['type']}")
        path, method = scope["path"], scope["method"]
        if method == "POST" and path.endswith("/openai/v1/chat/completions"):
            reply = await self._complete(scope, receive, send)
        elif path.startswith("/_ctl/"):
            reply = await self._ctl(scope, receive)
        elif method == "GET":
            reply = self._get(scope, path)
        else:
            reply = Reply(404, [], unknown_url(method, path))
        if reply is not None:
            await send_whole(reply, send)

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """None: a fault has dealt with the answer."""
        headers = dict(scope["headers"])
        retries = headers.get(b"x-stainless-retry-count", b"")
        body = await _body(receive)
        if body is None:
            return _TOO_LARGE
        injected = self._injected(scope) if self._chat.injector.active else None
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        outcome = self._chat.begin(authorization, int(retries) if retries.isdigit() else None, body, injected)
        if isinstance(outcome, Reply):
            if outcome.status != HUNG_UP:
                return outcome
            await Wire(connection_of(scope), receive, send).cut(by_reset=False)
            return None
        if injected is not None and injected.name in DELIVERIES:
            await self._serve_broken(outcome, injected, Wire(connection_of(scope), receive, send))
            return None
        gone, stretch = True, 1.0  # also when the server is stopped while the answer is being written
        try:
            gone, stretch = await self._chat.serving.serve(outcome.timing, receive)
        finally:
            reply = self._chat.finish(outcome, gone, stretch)
        return reply

    def _injected(self, scope: Scope) -> Injected | None:
        injected = self._chat.injector.next_request()
        connection = connection_of(scope)
        deaf_s, connection.deaf_s = connection.deaf_s, None
        return Injected("slow_accept", deaf_s) if injected is None and deaf_s is not None else injected

    async def _serve_broken(self, admitted: Admitted, injected: Injected, wire: Wire) -> None:
        """Wait as long as the model takes, settle, do to the answer what ``injected`` says, and bill."""
        chat, timing = self._chat, admitted.timing
        delivery: Delivery = "left"  # also when the server is stopped meanwhile
        happened = reply = None
        if injected.name == "slow_accept":
            happened = injected.name
            timing = timing._replace(round_trip_s=max(timing.round_trip_s, _NOTICE_S))
        try:
            gone, stretch = await chat.serving.serve(timing, wire.receive)
            reply = chat.settle(admitted, stretch)
            if not gone:
                happened = injected.name
                delivery = await DELIVERIES[injected.name](reply, wire, injected.seconds or 0.0)
        finally:
            if reply is None:
                chat.settle(admitted)
            chat.record(admitted, delivery == "whole", 499 if delivery == "left" else 200, happened, delivery == "lost")

    def _get(self, scope: Scope, path: str) -> Reply:
        _, found, model = path.partition("/openai/v1/models")
        if not found or (model and model[0] != "/"):
            return Reply(404, [], unknown_url("GET", path))
        authorization = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), None)
        if not is_bearer(authorization):
            return Reply(401, [], INVALID_KEY)
        model = model[1:]
        if not model:
            return Reply(200, [], models_body())
        return _json(MODELS[model].wire()) if model in MODELS else Reply(404, [], model_not_found(model))

    async def _ctl(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        if (client := scope.get("client")) is not None and not ip_address(client[0]).is_loopback:
            return Reply(403, [], error_body("the control plane is open to the emulator's own machine only"))
        if method == "GET":
            return self._control.get(path, scope["query_string"])
        if (method, path) != ("POST", "/_ctl/set"):
            return Reply(404, [], unknown_url(method, path))
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


def _json(value: object) -> Reply:
    return Reply(200, [], json.dumps(value, separators=(",", ":")).encode())


# ── control plane ────────────────────────────────────────────────────────────────────────────────────────────────────────

FIXED = ("tier", "law", "seed", "error_rates")
"""Keys that no change may name: answers already given depend on them."""
CHANGEABLE = tuple(name for name in EmulatorConfig.model_fields if name not in FIXED)
_MAX_PAGE = 10_000


class Control:
    """``/_ctl/summary``, ``/_ctl/ledger``, ``/_ctl/reads`` and ``POST /_ctl/set``."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._journals: dict[str, Journal[Any]] = {"/_ctl/ledger": chat.ledger.entries, "/_ctl/reads": chat.ledger.reads}

    def get(self, path: str, query: bytes) -> Reply:
        if path == "/_ctl/summary":
            return _json(self._chat.summary())
        journal = self._journals.get(path)
        if journal is None:
            return Reply(404, [], unknown_url("GET", path))
        asked = parse_qs(query.decode("latin-1"))
        offset, limit = asked.get("offset", ["0"])[0], asked.get("limit", ["1000"])[0]
        if not (offset.isdecimal() and limit.isdecimal()):
            return Reply(400, [], error_body("offset and limit must be whole numbers"))
        return _json(journal.page(int(offset), min(int(limit), _MAX_PAGE)))

    def set(self, body: bytes) -> Reply:
        """Change the keys named: all of them or, with a 400 that names every problem, none."""
        try:
            given = json.loads(body)
        except ValueError:
            return Reply(400, [], error_body("the body is not valid JSON"))
        if not isinstance(given, dict) or not given:
            return Reply(400, [], error_body(f"expected a JSON object with some of the keys {', '.join(CHANGEABLE)}"))
        outcome = changed(self._chat.config, given)
        if isinstance(outcome, list):
            return Reply(400, [], error_body("; ".join(outcome)))
        self._chat.change(outcome, given)
        return _json({"changed": outcome.model_dump(mode="json", include=set(given))})


def changed(config: EmulatorConfig, given: Mapping[str, Any]) -> EmulatorConfig | list[str]:
    """The configuration with the given keys replaced, in sections only those that are named; or what is wrong with them."""
    problems = [f"{key}: cannot be changed while the emulator runs" for key in given if key in FIXED]
    unknown = [key for key in given if key not in EmulatorConfig.model_fields]
    problems += [f"{key}: unknown key; allowed: {', '.join(CHANGEABLE)}" for key in unknown]
    values = config.model_dump(mode="json")
    for key, value in given.items():
        section = values.get(key)
        values[key] = {**section, **value} if isinstance(section, dict) and isinstance(value, dict) else value
    try:
        made = EmulatorConfig.model_validate_json(json.dumps({key: value for key, value in values.items() if key not in unknown}))
    except ValidationError as error:
        return problems + [_explained(problem) for problem in error.errors(include_url=False)]
    return problems or made


def _explained(problem: Any) -> str:
    key, found = ".".join(map(str, problem["loc"])), json.dumps(problem["input"], default=str)
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    return f"{key}: {problem['msg'][:1].lower()}{problem['msg'][1:]}; found {found[:100]}"


# ── sockets ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_STATE_KEY = "connection"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: what is closed is reset


class Connection(HttpToolsProtocol):
    """The application finds it in its scope's ``state``, which each request gets anyway: one without a fault costs no more."""

    injector: Injector

    def __init__(self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, {**app_state, _STATE_KEY: self}, _loop)
        self.deaf_s: float | None = None  # for how long nothing was read; None once a request has taken it up

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.injector.active and (seconds := self.injector.next_connection()) is not None:
            self.deaf_s = seconds
            transport.pause_reading()
            self.loop.call_later(seconds, self._listen)

    def close(self) -> None:
        """FIN, behind everything that was written."""
        self.transport.close()

    def reset(self) -> None:
        """RST: the client's system throws away what it has not read yet."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _listen(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()


def connection_of(scope: Scope) -> Connection:
    connection = scope["state"][_STATE_KEY]
    assert isinstance(connection, Connection)
    return connection


# ── server ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

_STDIN = 0


class _Server(uvicorn.Server):
    """Calls ``on_ready`` when it serves; with ``watch_stdin``, stops as its standard input ends."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], watch_stdin: bool) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._watch_stdin = watch_stdin

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._watch_stdin:
            asyncio.get_running_loop().add_reader(_STDIN, self._stdin_readable)
        self._on_ready()

    def _stdin_readable(self) -> None:
        if not os.read(_STDIN, 4096):  # the write end is closed: the parent stopped us, or died
            asyncio.get_running_loop().remove_reader(_STDIN)
            self.should_exit = True


def run_child() -> int:
    """Serve as a child: one JSON line with the configuration on standard input, one JSON line with the port on standard
    output, service until standard input ends. The process that holds its write end decides how long the child lives.
    """
    with open(_STDIN, "rb", buffering=0, closefd=False) as stdin:  # unbuffered: it takes no byte that the watcher waits for
        line = stdin.readline()
    if not line.endswith(b"\n"):
        return 1
    given = json.loads(line)
    config = EmulatorConfig.model_validate_json(json.dumps(given["config"]))
    with _listen(given["host"], given["port"]) as listener:
        ready = json.dumps({"port": listener.getsockname()[1], "pid": os.getpid()})
        _serve(config, given["model"], listener, lambda: print(ready, flush=True), watch_stdin=True)
    return 0


def run_foreground(config: EmulatorConfig, model: str, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. Port 0 takes a free one. ``on_ready`` gets the base URL of a Groq client: without
    ``/openai/v1``, which the SDK appends. Raises OSError if the address cannot be bound, KeyboardInterrupt on Ctrl-C.
    """
    with _listen(host, port) as listener:
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        _serve(config, model, listener, lambda: on_ready(url), watch_stdin=False)


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)


def _serve(config: EmulatorConfig, model: str, listener: socket.socket, on_ready: Callable[[], None], watch_stdin: bool) -> None:
    settings = server_settings(Chat(config, model, time.monotonic, time.time))
    _Server(settings, on_ready, watch_stdin).run(sockets=[listener])


def server_settings(chat: Chat) -> uvicorn.Config:
    return uvicorn.Config(
        EmulatorApp(chat), http=type("InjectedConnection", (Connection,), {"injector": chat.injector}),
        loop="asyncio", ws="none", lifespan="off", interface="asgi3", server_header=False, proxy_headers=False,
        access_log=False, log_config=None, log_level="warning",
        timeout_keep_alive=75, timeout_graceful_shutdown=1, backlog=2048,
    )  # fmt: skip
