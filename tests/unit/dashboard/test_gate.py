"""Who is let into the page, and who may command: the guard and the two routes as ASGI calls, without a socket."""

import asyncio
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from streamlit import config

import helix_ray._dashboard
from helix_ray._dashboard import shared
from helix_ray._dashboard.gate import IDLE_S, TRIES, USED, Gate
from helix_ray._dashboard.server import MIDDLEWARE, ROUTES
from helix_ray.client import CONTROL_CODE

Answer = tuple[int, dict[str, str], str]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate("right", clock)
    monkeypatch.setattr(shared, "gate", lambda: gate)
    return gate


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


APP = Starlette(
    routes=[*ROUTES, Route("/", lambda request: PlainTextResponse("page")), WebSocketRoute("/stream", _socket)], middleware=MIDDLEWARE
)


def ask(path: str = "/", host: str = "127.0.0.1:8501", kind: str = "http", form: dict[str, str] | None = None, **headers: str) -> Answer:
    """The status (of a WebSocket: 101, or the code it is closed with), the headers and the body."""
    body, given = urlencode(form or {}).encode(), {"host": host, **headers}
    scope = {
        "type": kind, "method": "GET" if form is None else "POST", "path": path, "query_string": b"", "scheme": "http",
        "server": ("127.0.0.1", 8501), "headers": [(name.encode(), text.encode()) for name, text in given.items()],
    }  # fmt: skip
    events = [{"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": body}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return events.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(APP(scope, receive, send))
    if kind == "websocket":
        return (101 if sent[0]["type"] == "websocket.accept" else sent[0]["code"]), {}, ""
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]).decode()


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "origin", "let_in"),
    [
        ("127.0.0.1:8501", None, True),
        ("localhost:9000", "http://localhost:9000", True),  # a container's port may be published under another number
        ("[::1]:8501", "http://[::1]:8501", True),
        ("localhost", "https://localhost", True),
        ("evil.test", "http://evil.test", False),
        ("127.0.0.1:8501", "http://127.0.0.1:8502", False),
        ("127.0.0.1:8501", "http://localhost:8501", False),
        ("127.0.0.1:8501", "http://evil.test", False),
        ("127.0.0.1:8501", "null", False),
        ("localhost@evil.test", None, False),
        ("", None, False),
    ],
)
def test_hosts_and_origins(kind: str, host: str, origin: str | None, let_in: bool) -> None:
    status, _, body = ask("/stream" if kind == "websocket" else "/", host, kind, **({"origin": origin} if origin else {}))
    assert status == ((101 if kind == "websocket" else 200) if let_in else (1008 if kind == "websocket" else 403)), body


def test_no_answer_may_be_framed_or_bring_in_anything_from_elsewhere() -> None:
    for host in ("127.0.0.1:8501", "evil.test"):
        _, headers, _ = ask(host=host)
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert "evil" not in headers["content-security-policy"]


def test_the_code_opens_a_session_that_only_the_cookie_holds(gate: Gate) -> None:
    status, headers, body = ask("/unlock", form={"form": gate.form(), "code": "right"}, origin="http://127.0.0.1:8501")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert not re.search("(?i)max-age|expires", cookie), "it ends with the browser"
    session = cookie.split(";")[0].removeprefix(f"{shared.CONTROL_COOKIE}=")
    assert gate.admits(session)
    assert not gate.admits("another")
    assert not gate.admits(None)
    ask("/lock", form={}, origin="http://127.0.0.1:8501", cookie=f"{shared.CONTROL_COOKIE}={session}")
    assert not gate.admits(session)
    assert "right" not in str(headers) + body


@pytest.mark.parametrize(
    ("referer", "back"),
    [("http://127.0.0.1:8501/start", "/start"), ("http://127.0.0.1:8501/unlock", "/"), ("http://127.0.0.1:8501//evil.test/", "/")],
)
def test_the_browser_goes_back_to_the_page_that_held_the_form(gate: Gate, referer: str, back: str) -> None:
    assert ask("/lock", form={}, referer=referer)[1]["location"] == back


def test_refusals_are_said_and_nothing_is_echoed(gate: Gate) -> None:
    status, headers, body = ask("/unlock", form={"form": gate.form(), "code": "<script>"})
    assert status == 403
    assert "that is not the code" in body
    assert "script" not in body
    assert "set-cookie" not in headers
    assert "open it again" in ask("/unlock", form={"form": '"><script>', "code": "right"})[2]
    assert ask("/unlock", form={"code": "x" * 5000})[0] == 413


def test_wrong_codes_from_elsewhere_lock_nobody_out(gate: Gate, clock: Clock) -> None:
    mine, others = gate.form(), gate.form()
    for _ in range(TRIES):
        assert gate.open("wrong", others) == (None, "that is not the code")
    assert "too many wrong codes; try again in 60 s" in gate.open("right", others)[1]
    for made_up in ("", "x", f"{others}x", mine.upper()):
        assert gate.open("right", made_up)[0] is None
    assert gate.open("right", mine)[0] is not None
    clock.now = 61.0
    assert gate.open("right", others)[0] is not None


def test_a_session_ends_after_twelve_hours_without_a_command(gate: Gate, clock: Clock) -> None:
    session, _ = gate.open("right", gate.form())
    clock.now = IDLE_S - 1
    assert gate.admits(session, use=True)
    clock.now = 2 * IDLE_S - 2
    assert gate.admits(session)
    clock.now = 2 * IDLE_S
    assert not gate.admits(session, use=True)


def test_a_printed_code_is_for_one_browser_at_a_time(clock: Clock) -> None:
    gate = Gate("code", clock, once=True)
    session, _ = gate.open("code", gate.form())
    assert gate.open("code", gate.form()) == (None, USED)
    assert gate.used_up
    gate.close(session)
    assert gate.open("code", gate.form())[0] is not None


def test_the_gate_is_made_once_and_leaves_no_code_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HELIX_CONTROL_TOKEN", raising=False)
    monkeypatch.setenv(CONTROL_CODE, "code")
    shared._the_gate.cache_clear()
    try:
        opened: list[Callable[[], tuple[str | None, str]]] = [lambda: shared.gate().open("code", shared.gate().form())] * 2
        assert [session is not None for session, _ in (ask() for ask in opened)] == [True, False]
        assert CONTROL_CODE not in os.environ
        shared._the_gate.cache_clear()
        monkeypatch.setenv("HELIX_CONTROL_TOKEN", "code")
        assert [session is not None for session, _ in (ask() for ask in opened)] == [True, True]
    finally:
        shared._the_gate.cache_clear()


# What the user's own settings may be without harm: how Streamlit caches and counts, its themes, and what only other options use.
HARMLESS = re.compile(
    r"theme|secrets|mapbox|magic|_test|server\.(agent|folderWatch|cookieSecret|maxCache)|browser\.serverPort|"
    r"runner\.(cache|connection|enumCoercion|parallel)|global\.(disable|showWarning|suppress)|logger\.messageFormat"
)


def test_the_users_own_settings_of_streamlit_change_nothing() -> None:
    own = tomllib.loads(Path(helix_ray._dashboard.__file__).with_name(".streamlit").joinpath("config.toml").read_text())
    ours = {f"{section}.{name}" for section, options in own.items() if section != "theme" for name in options}
    known = {name for name, option in config._config_options_template.items() if not option.deprecated}
    assert not ours - known, "an option that Streamlit does not know is silently without effect"
    assert not {name for name in known - ours if not HARMLESS.match(name)}
    assert (own["server"]["address"], own["server"]["baseUrlPath"]) == ("127.0.0.1", "")
    assert own["browser"]["serverAddress"]
    assert own["runner"]["postScriptGC"] is False
