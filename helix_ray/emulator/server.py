"""Runs the emulator: as a child that lives as long as its parent, or alone in the foreground."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Callable

import uvicorn

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.app import EmulatorApp
from helix_ray.emulator.chat import Chat
from helix_ray.emulator.protocol import connections_with

_STDIN = 0


class _Server(uvicorn.Server):
    """Tells when it serves, and when asked to, stops as its standard input ends."""

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
    """The child's life: one JSON line with the configuration on standard input, one JSON line with the port on standard
    output, service until standard input ends. Whoever holds its write end decides how long the child lives.
    """
    line = bytearray()
    while not line.endswith(b"\n"):  # unbuffered, so that no byte of the pipe is taken that the watcher waits for
        byte = os.read(_STDIN, 1)
        if not byte:
            return 1
        line += byte
    given = json.loads(line)
    config = EmulatorConfig.model_validate_json(json.dumps(given["config"]))
    with _listen(given["host"], given["port"]) as listener:
        port = listener.getsockname()[1]
        ready = json.dumps({"port": port, "pid": os.getpid()})
        _serve(config, given["model"], listener, lambda: print(ready, flush=True), watch_stdin=True)
    return 0


def run_foreground(config: EmulatorConfig, model: str, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serves until Ctrl-C or SIGTERM; ``on_ready`` is given the base URL. Port 0 takes a free one.

    Raises OSError if the address cannot be bound, KeyboardInterrupt on Ctrl-C.
    """
    with _listen(host, port) as listener:
        url = base_url(host, listener.getsockname()[1])
        _serve(config, model, listener, lambda: on_ready(url), watch_stdin=False)


def base_url(host: str, port: int) -> str:
    """What a Groq client takes as base URL: without ``/openai/v1``, which the SDK appends."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)


def _serve(config: EmulatorConfig, model: str, listener: socket.socket, on_ready: Callable[[], None], watch_stdin: bool) -> None:
    chat = Chat(config, model, time.monotonic, time.time)
    _Server(server_settings(chat), on_ready, watch_stdin).run(sockets=[listener])


def server_settings(chat: Chat) -> uvicorn.Config:
    return uvicorn.Config(
        EmulatorApp(chat),
        loop="asyncio",
        http=connections_with(chat.injector),
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=2048,
    )


def main() -> None:
    sys.exit(run_child())
