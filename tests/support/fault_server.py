"""A small HTTP server on loopback that answers each request as it is told, broken answers included."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any

Behaviour = Callable[["Exchange"], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Exchange:
    """One request, and the writer for its answer."""

    method: str
    path: str
    headers: dict[str, str]  # lower-case names
    body: bytes
    writer: asyncio.StreamWriter

    def json(self) -> Any:
        return json.loads(self.body)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + body)

    def reset(self) -> None:
        """RST: whatever was written and not yet received is thrown away."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class FaultServer:
    """``behaviour`` may be replaced between requests. Requests are recorded in ``exchanges``."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                exchange = await _read_request(reader, writer)
                if exchange is None:
                    break
                self.exchanges.append(exchange)
                await self.behaviour(exchange)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has what it wanted, or the test is over
        finally:
            self._serving.discard(task)
            writer.transport.abort()


async def hang(exchange: Exchange) -> None:
    """A behaviour: no answer, for ever."""
    await asyncio.Event().wait()


async def drip(exchange: Exchange, head: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", piece: bytes = b"x") -> None:
    """A behaviour: ``head``, then a piece every 20 ms, for as long as the client stays."""
    exchange.writer.write(head)
    while True:
        exchange.writer.write(piece)
        await exchange.writer.drain()
        await asyncio.sleep(0.02)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Exchange(method, path, headers, body, writer)
