"""``helix-control``: takes commands, keeps the desired state, tells metrics what it is."""

from __future__ import annotations

import asyncio

from helix_ray.actors.api import CONTROL, ControlApi, begin_incarnation
from helix_ray.actors.heartbeat import Heartbeat, report_to_metrics
from helix_ray.clock import SystemClock
from helix_ray.control.command_log import LEDGER_DEADLINE_S, CommandLog, ControlLedger
from helix_ray.environment.logs import RunLog
from helix_ray.environment.secrets import Secret
from helix_ray.metrics.reports import ControlReport, ProcessReport, Report
from helix_ray.metrics.snapshot import SHOWN_COMMANDS, CommandView
from helix_ray.records import Ack, Command, DesiredState


class ControlActor(ControlApi):
    """``session_started_at`` (Unix seconds) parts the commands of this session from those before a resume of the same run.

    ``configured_rate``: `source.rate_per_s`.
    """

    def __init__(self, run_id: str, session_started_at: float, configured_rate: float | None = None, run_log: RunLog | None = None) -> None:
        self._incarnation = begin_incarnation(CONTROL, run_log)
        self._database_url: Secret | None = None
        self._addressed = asyncio.Event()
        self._log = CommandLog(run_id, session_started_at, self._connect, SystemClock(), configured_rate)
        self._state = DesiredState()
        self._heartbeat = Heartbeat(self._own_state, self._report)
        self._beat: asyncio.Task[None] | None = None

    async def ping(self) -> str:
        return self._incarnation

    async def run(self, database_url: Secret) -> str:
        self._database_url = database_url
        self._addressed.set()
        self._beat = asyncio.create_task(self._heartbeat.beat(CONTROL, self._own_report, self._apply))
        await asyncio.wait([self._beat])
        if not self._beat.cancelled():
            self._beat.result()  # raises what ended it
        return "stopped"

    async def stop(self) -> None:
        if self._beat is not None:
            await self._heartbeat.once(CONTROL, self._own_report, self._apply)  # the order to end came into effect since the last beat
            self._beat.cancel()

    async def send(self, command: Command) -> Ack:
        return await self._log.send(command)

    async def state(self) -> DesiredState:
        self._state = await self._log.state()
        return self._state

    async def in_effect(self, version: int) -> None:
        await self._log.in_effect(version)

    async def _own_state(self) -> DesiredState:
        await self._log.tidy()
        return await self._log.state()

    async def _report(self, source: str, report: Report, process: ProcessReport, version: int) -> int | None:
        """Metrics answers which version every producer and analyzer follows."""
        applied = await report_to_metrics(source, report, process, version)
        if applied:
            await self._log.in_effect(applied)
        return applied

    def _apply(self, state: DesiredState) -> None:
        self._state = state

    def _own_report(self) -> ControlReport:
        state = self._state
        return ControlReport(
            paused=state.paused,
            rate_per_s=state.rate_per_s,
            spike_rate_per_s=state.spike_rate_per_s,
            spike_until=state.spike_until,
            ending=state.ending,
            spike_refusal=self._log.spike_refusal,
            commands=tuple(CommandView.of(*each) for each in self._log.recent(SHOWN_COMMANDS)),
        )

    async def _connect(self) -> ControlLedger:
        from helix_ray.storage.postgres import PostgresLedger  # noqa: PLC0415  (an import that fails must not fail __init__)

        await self._addressed.wait()  # `CommandLog` gives it up after some seconds
        assert self._database_url is not None
        return await PostgresLedger.connect(self._database_url.reveal(), statement_timeout_s=LEDGER_DEADLINE_S)
