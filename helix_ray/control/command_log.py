"""The commands of a session: recorded, applied to the desired state, and replayed after a restart of the control actor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from helix_ray.clock import Clock
from helix_ray.control.desired import ENDINGS, Change, Rejection, encode_change, plan, replay, spike_refusal
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import DatabaseLostError, HelixError
from helix_ray.records import Ack, Command, ControlEvent, ControlOutcome, DesiredState

log = event_logger(__name__)

Answer = TypeVar("Answer")

LEDGER_DEADLINE_S = 3.0
LEDGER_DOWN = (HelixError, TimeoutError, OSError)
MAX_TEXT = 200  # characters of a command's actor and reason, which people write


class ControlLedger(Protocol):
    async def record_control(self, run_id: str, event: ControlEvent) -> bool: ...

    async def mark_control(self, request_id: str, outcome: ControlOutcome) -> None: ...

    async def controls(self, run_id: str) -> list[tuple[ControlEvent, ControlOutcome]]:
        """Every command of the run, in the order in which they were asked."""

    async def aclose(self) -> None: ...


@dataclass(slots=True)
class _Entry:
    """One accepted or refused command of this session, as far as it has come."""

    event: ControlEvent
    ack: Ack
    recorded: bool
    marked: bool  # the acknowledgement is in the ledger
    acknowledged_at: datetime
    in_effect_at: datetime | None = None
    in_effect: bool = False  # is in the ledger


class CommandLog:
    """The desired state and its log. Calls are serialised, so that the log's order is the order of the changes.

    Nothing is answered before the log of this session has been read. The exception is an order to end, which a lost database
    must not prevent: it acts at once and is recorded when the database is back.
    """

    def __init__(
        self,
        run_id: str,
        since: float,
        connect: Callable[[], Awaitable[ControlLedger]],
        clock: Clock,
        configured_rate: float | None = None,
    ) -> None:
        """``configured_rate``: reads/s of the whole source; None: as fast as they are taken."""
        self._run_id = run_id
        self._since = since  # Unix seconds: commands of earlier sessions of this run are history
        self._connect = connect
        self._clock = clock
        self._configured_rate = configured_rate
        self._ledger: ControlLedger | None = None
        self._state = DesiredState()
        self._entries: dict[str, _Entry] = {}
        self._rebuilt = False
        self._lock = asyncio.Lock()

    async def state(self) -> DesiredState:
        """DatabaseLostError until the state of this session is known again."""
        if not self._rebuilt and self._state.ending is None:
            async with self._lock:
                await self._rebuild()
        return self._state

    async def send(self, command: Command) -> Ack:
        """Records, then acts. The same ``request_id`` gets the same answer and changes nothing."""
        async with self._lock:
            try:
                await self._rebuild()
            except DatabaseLostError as lost:
                if command.action not in ENDINGS:
                    refused = Ack(command.request_id, False, self._state.version, f"not done, since it cannot be recorded: {lost}")
                    return _logged(command, refused)
            known = self._entries.get(command.request_id)
            return known.ack if known is not None else _logged(command, await self._act(command))

    async def in_effect(self, version: int) -> None:
        """Every producer and analyzer follows ``version``: the commands up to it are in effect."""
        async with self._lock:
            for entry in self._entries.values():
                if entry.ack.accepted and entry.ack.version <= version and not entry.in_effect:
                    entry.in_effect_at = entry.in_effect_at or self._clock.now()
                    entry.in_effect = await self._mark(entry, ControlOutcome(in_effect_at=entry.in_effect_at))

    async def tidy(self) -> None:
        """Writes down what could not be written when it happened. Quiet while the database is away."""
        async with self._lock:
            try:
                await self._rebuild()
            except DatabaseLostError:
                return
            for entry in self._entries.values():
                if not entry.marked:
                    await self._write(entry)

    def recent(self, limit: int) -> list[tuple[ControlEvent, ControlOutcome]]:
        """The last commands of this session, newest first."""
        newest = sorted(self._entries.values(), key=lambda entry: entry.event.asked_at, reverse=True)[:limit]
        return [
            (it.event, ControlOutcome(it.ack.accepted, it.ack.message, acknowledged_at=it.acknowledged_at, in_effect_at=it.in_effect_at))
            for it in newest
        ]

    @property
    def spike_refusal(self) -> str | None:
        """As the function of that name, of now."""
        return spike_refusal(self._state, self._configured_rate)

    async def _act(self, command: Command) -> Ack:
        now = self._clock.now()
        planned = plan(self._state, command, now.timestamp(), self._configured_rate)
        value_from, value_to = encode_change(self._state, planned.state) if isinstance(planned, Change) else (None, None)
        event = ControlEvent(
            request_id=command.request_id,
            action=command.action.value,
            actor=command.actor[:MAX_TEXT],
            asked_at=now,
            reason=command.reason[:MAX_TEXT] if command.reason else None,
            value_from=value_from,
            value_to=value_to,
        )
        if isinstance(planned, Rejection):
            ack = Ack(command.request_id, False, self._state.version, planned.message)
        else:
            message = f"{planned.value_from} → {planned.value_to}" + (f" ({planned.note})" if planned.note else "")
            ack = Ack(command.request_id, True, planned.state.version, message, planned.value_from, planned.value_to)
        entry = _Entry(event, ack, recorded=False, marked=False, acknowledged_at=now)
        if not await self._record(entry) and command.action not in ENDINGS:
            return Ack(
                command.request_id, False, self._state.version, "not done, since it cannot be recorded: the database does not answer"
            )
        if isinstance(planned, Change):
            self._state = planned.state
        entry.acknowledged_at = self._clock.now()
        self._entries[command.request_id] = entry
        if entry.recorded:
            await self._write(entry)
        return ack

    async def _write(self, entry: _Entry) -> None:
        if entry.recorded or await self._record(entry):
            outcome = ControlOutcome(entry.ack.accepted, entry.ack.message, acknowledged_at=entry.acknowledged_at)
            entry.marked = await self._mark(entry, outcome)

    async def _record(self, entry: _Entry) -> bool:
        reused = self._ledger is not None
        try:
            await self._ask(lambda ledger: ledger.record_control(self._run_id, entry.event))
        except DatabaseLostError:
            # a connection that was idle through an outage fails at its next use, when the database is long back
            return await self._record(entry) if reused else False
        entry.recorded = True
        return True

    async def _mark(self, entry: _Entry, outcome: ControlOutcome) -> bool:
        if not entry.recorded:
            return False
        try:
            await self._ask(lambda ledger: ledger.mark_control(entry.event.request_id, outcome))
        except DatabaseLostError:
            return False  # the next tidy or in_effect tries again
        return True

    async def _rebuild(self) -> None:
        """Reads the log of this session once. Orders to end that were given meanwhile stay on top of it."""
        if self._rebuilt:
            return
        rows = await self._ask(lambda ledger: ledger.controls(self._run_id))
        session = [row for row in rows if row[0].asked_at.timestamp() >= self._since]
        given = list(self._entries.values())
        self._entries = {}
        state = DesiredState()
        for event, outcome in session:
            ack = recorded_ack(event, outcome, state.version + 1)
            state = replay([event.value_to if ack.accepted else None], state)
            self._entries[event.request_id] = _Entry(
                event,
                replace(ack, version=state.version),
                recorded=True,
                marked=outcome.acknowledged_at is not None,
                acknowledged_at=outcome.acknowledged_at or self._clock.now(),
                in_effect_at=outcome.in_effect_at,
                in_effect=outcome.in_effect_at is not None,
            )
        for entry in given:
            if entry.ack.accepted and entry.event.request_id not in self._entries:
                state = replay([entry.event.value_to], state)
            self._entries.setdefault(entry.event.request_id, entry)
        self._state, self._rebuilt = state, True

    async def _ask(self, question: Callable[[ControlLedger], Awaitable[Answer]]) -> Answer:
        """DatabaseLostError: there is no answer in time."""
        try:
            if self._ledger is None:
                self._ledger = await asyncio.wait_for(self._connect(), LEDGER_DEADLINE_S)
            return await asyncio.wait_for(question(self._ledger), LEDGER_DEADLINE_S)
        except LEDGER_DOWN as error:
            log.warning(Event.ERROR_HANDLED, what="the log of commands is out of reach", exc_info=error)
            ledger, self._ledger = self._ledger, None  # a connection that failed is not used again
            if ledger is not None:
                with suppress(*LEDGER_DOWN):  # it was lost already
                    await asyncio.wait_for(ledger.aclose(), LEDGER_DEADLINE_S)
            raise DatabaseLostError("the log of commands cannot be read: the database does not answer") from error


def recorded_ack(event: ControlEvent, outcome: ControlOutcome, version: int) -> Ack:
    """The answer to a command as the ledger knows it: what is on record and was not refused has acted."""
    accepted = outcome.accepted is not False and event.value_to is not None
    return Ack(event.request_id, accepted, version, outcome.message or "done", event.value_from, event.value_to)


def _logged(command: Command, ack: Ack) -> Ack:
    facts = {"action": command.action.value, "by": command.actor, "reason": command.reason, "request_id": command.request_id}
    log.info(Event.COMMAND, facts=facts, accepted=ack.accepted, answer=ack.message)
    return ack
