"""The emulator behind a real socket, in the event loop of the test, and what is asked of it: one read with one substitution."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any

from uvicorn.server import ServerState

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.chat import Chat
from helix_ray.emulator.http import Connection, server_settings


class ServedEmulator:
    """Serves while entered, on loopback and a free port. ``chat`` is what it decides by, ledger and faults included."""

    def __init__(self, config: EmulatorConfig, model: str) -> None:
        self.chat = Chat(config, model, time.monotonic, time.time)
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ServedEmulator:
        settings = server_settings(self.chat)
        settings.load()
        protocol = settings.http_protocol_class
        assert issubclass(protocol, Connection)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: protocol(settings, self._state, {}), "127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await self.quiet()
        await self._server.wait_closed()

    async def quiet(self) -> None:
        """Returns when no request is being served: then every one of them is in the ledger."""
        while self._state.tasks:
            await asyncio.wait(list(self._state.tasks))

    @property
    def connections(self) -> int:
        """That are open."""
        return len(self._state.connections)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"


MODEL = "openai/gpt-oss-20b"
SYSTEM = "Report the differences between the read and its reference window as JSON."


def prompt(opaque_id: str, ref: str, read: str) -> str:
    def indexed(bases: str) -> str:
        return " ".join(f"{i + 1}:{bases[i : i + 10]}" for i in range(0, len(bases), 10))

    return f"id: {opaque_id}\nreference ({len(ref)} bases):\n{indexed(ref)}\nread ({len(read)} bases):\n{indexed(read)}"


def messages(opaque_id: str = "a1") -> list[Any]:
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": prompt(opaque_id, "ACGTTGCAAGCTTACGGATC", "ACGTTGCATGCTTACGGATC")},
    ]
