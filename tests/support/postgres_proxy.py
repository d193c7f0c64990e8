"""A TCP proxy before a PostgreSQL that breaks connections on demand: at a request, at a reply, or at the reply to a COMMIT.

It listens on loopback and forwards to the server's UNIX socket, whatever server listens there at the time.
"""

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Literal

Fault = Literal["request", "reply", "commit"]
"""``request``: cut before it reaches the server. ``reply``: the server has answered, and the client gets nothing. ``commit``: the same
for a COMMIT, which has taken effect.
"""
COMMIT = b"COMMIT\0"


class PostgresProxy:
    """Use it as a context. One fault is armed at a time; the first connection that comes to its place meets it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._armed: Fault | None = None
        self.faults: Counter[str] = Counter()

    def __enter__(self) -> "PostgresProxy":
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"postgresql://postgres@127.0.0.1:{self._server.sockets[0].getsockname()[1]}/postgres?sslmode=disable"

    def arm(self, fault: Fault) -> None:
        self._loop.call_soon_threadsafe(setattr, self, "_armed", fault)

    def disarm(self) -> None:
        self._loop.call_soon_threadsafe(setattr, self, "_armed", None)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one side closes, or a fault closes both."""
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            writer.transport.abort()
            return
        committing = asyncio.Event()
        ways = [
            asyncio.ensure_future(self._forward(reader, server_writer, "request", committing)),
            asyncio.ensure_future(self._forward(server_reader, writer, "reply", committing)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for each in (writer, server_writer):
                each.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str, committing: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if way == "request" and COMMIT in data and self._armed == "commit":
                    committing.set()
                if self._armed == way or (way == "reply" and committing.is_set()):
                    self.faults[self._armed or "commit"] += 1
                    self._armed = None
                    return
                writer.write(data)
                await writer.drain()
