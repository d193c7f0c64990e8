"""HTTP/1.1 on sockets that the emulator can break: uvicorn's protocol, with its transport within the application's reach."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import MutableMapping
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from helix_ray.emulator.injector import Injector

_STATE_KEY = "connection"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: what is closed is reset


class Connection(HttpToolsProtocol):
    """Found by the application in its scope's ``state``, which each request of the connection is given anyway: a request
    without a fault costs nothing more.
    """

    injector: Injector

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, _STATE_KEY: self}, _loop)
        self.deaf_s: float | None = None  # for how long nothing was read, until a request is told so

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


def connections_with(injector: Injector) -> type[Connection]:
    """The protocol of one server."""
    return type("InjectedConnection", (Connection,), {"injector": injector})


def connection_of(scope: MutableMapping[str, Any]) -> Connection:
    """The connection that brought this request."""
    connection = scope["state"][_STATE_KEY]
    assert isinstance(connection, Connection)
    return connection
