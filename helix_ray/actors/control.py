"""``helix-control``: takes commands, keeps the desired state, tells metrics what it is."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import TYPE_CHECKING

from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.actors.names import CONTROL, METRICS
from helix_ray.actors.peers import call_or_none
from helix_ray.clock import SystemClock
from helix_ray.control.command_log import LEDGER_DEADLINE_S, ControlDesk
from helix_ray.metrics.reports import ControlReport
from helix_ray.records import Ack, Command, DesiredState
from helix_ray.secrets import Secret

if TYPE_CHECKING:
    from helix_ray.control.command_log import ControlLedger


class ControlActor:
    """``session_started_at`` (Unix seconds) parts the commands of this session from those before a resume of the same run."""

    def __init__(self, run_id: str, database_url: Secret, session_started_at: float) -> None:
        self._epoch = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._database_url = database_url
        self._desk = ControlDesk(run_id, session_started_at, self._connect, SystemClock())
        self._state = DesiredState()
        self._loop: asyncio.Task[None] | None = None

    async def ping(self) -> str:
        self._awaken()
        return self._epoch

    async def send(self, command: Command) -> Ack:
        """Never raises for a command that cannot be done: the answer says why not."""
        self._awaken()
        return await self._desk.send(command)

    async def state(self) -> DesiredState:
        """DatabaseLostError after a restart while the database is away: whoever asks keeps what it has."""
        self._awaken()
        self._state = await self._desk.state()
        return self._state

    async def in_effect(self, version: int) -> None:
        await self._desk.in_effect(version)

    def _awaken(self) -> None:
        """Starts the loop at the first call: after a restart nobody but the callers knows that there is one to start."""
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        heartbeat = Heartbeat(call=self._report)
        await heartbeat.beat(CONTROL, self._own_report, self._adopt)

    async def _report(self, name: str, method: str, *args: object, timeout_s: float) -> object:
        """The control actor's own beat: its state is here, and metrics answers which version everyone follows."""
        if name == CONTROL:
            await self._desk.tidy()
            return await self._desk.state()
        adopted = await call_or_none(METRICS, method, *args, timeout_s=timeout_s)
        if isinstance(adopted, int) and adopted > 0:
            await self._desk.in_effect(adopted)
        return adopted

    def _adopt(self, state: DesiredState) -> None:
        self._state = state

    def _own_report(self) -> ControlReport:
        state = self._state
        return ControlReport(
            paused=state.paused,
            rate_per_s=state.rate_per_s,
            spike_rate_per_s=state.spike_rate_per_s,
            spike_until=state.spike_until,
            ending=state.ending,
        )

    async def _connect(self) -> ControlLedger:
        from helix_ray.storage.postgres import PostgresLedger  # noqa: PLC0415  (an import that fails must not fail __init__)

        return await PostgresLedger.connect(self._database_url.reveal(), statement_timeout_s=LEDGER_DEADLINE_S)
