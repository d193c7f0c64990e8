"""A viewer of the page that is no browser: Streamlit's protocol over a WebSocket, with the timers that a browser keeps."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

FULL_RUN_S = 30.0


class PageViewer:
    """``origin`` and ``host``: what a browser would say; None: what a local program says, namely no origin, and the real host."""

    def __init__(self, port: int, origin: str | None = None, host: str | None = None) -> None:
        self._port = port
        self._origin = None if origin is None else Origin(origin)
        self._headers = {} if host is None else {"Host": host}
        self._page = ""
        self.received = b""  # of the first run of the script

    def _connect(self) -> connect:
        url, headers = f"ws://127.0.0.1:{self._port}/_stcore/stream", self._headers
        return connect(
            url, origin=self._origin, additional_headers=headers, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None
        )

    async def watch(self, got: Callable[[bytes], None]) -> None:
        """Until it is cancelled. ``got`` is called with every message."""
        timers: dict[str, asyncio.Task[None]] = {}
        async with self._connect() as socket:
            await self._run(socket)
            try:
                async for data in socket:
                    assert isinstance(data, bytes)
                    got(data)
                    message = self._read(data)
                    asked = message.auto_rerun
                    if message.WhichOneof("type") == "auto_rerun" and asked.fragment_id not in timers:
                        timers[asked.fragment_id] = asyncio.create_task(self._again(socket, asked.fragment_id, asked.interval))
            finally:
                for timer in timers.values():
                    timer.cancel()

    async def press(self, key: str) -> None:
        """Draws the page and presses the button of this key, whether it is disabled or not; returns when the script has answered."""
        async with self._connect() as socket:
            await self._run(socket)
            self.received = await self._finished(socket)
            (button,) = set(re.findall(rb"\$\$ID-[0-9a-f]+-" + key.encode() + rb"\b", self.received))
            await self._run(socket, pressed=button.decode())
            await self._finished(socket)

    async def _finished(self, socket: ClientConnection) -> bytes:
        received = b""
        async with asyncio.timeout(FULL_RUN_S):
            async for data in socket:
                assert isinstance(data, bytes)
                received += data
                if self._read(data).WhichOneof("type") == "script_finished":
                    break
        return received

    def _read(self, data: bytes) -> ForwardMsg:
        message: ForwardMsg = ForwardMsg.FromString(data)
        if message.WhichOneof("type") == "new_session":
            self._page = message.new_session.page_script_hash
        return message

    async def _again(self, socket: ClientConnection, fragment: str, every_s: float) -> None:
        due = time.monotonic()
        while True:  # as a browser's interval: late once is not late for ever
            due += every_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._run(socket, fragment)

    async def _run(self, socket: ClientConnection, fragment: str = "", pressed: str = "") -> None:
        message = BackMsg()
        message.rerun_script.page_script_hash = self._page
        message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, bool(fragment)
        if pressed:
            message.rerun_script.widget_states.widgets.add(id=pressed, trigger_value=True)
        await socket.send(message.SerializeToString())
