"""Commands are recorded before they act, answered once, and rebuilt after a restart."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from helix_ray.control.command_log import CommandLog
from helix_ray.errors import DatabaseLostError
from helix_ray.records import Action, Command, ControlEvent, ControlOutcome

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Log:
    """The control part of a ledger, with a plug to pull."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[ControlEvent, ControlOutcome]] = {}
        self.down = False

    def _check(self) -> None:
        if self.down:
            raise DatabaseLostError("the plug is pulled")

    async def record_control(self, run_id: str, event: ControlEvent) -> bool:
        self._check()
        return self.rows.setdefault(event.request_id, (event, ControlOutcome()))[0] is event

    async def mark_control(self, request_id: str, outcome: ControlOutcome) -> None:
        self._check()
        event, before = self.rows[request_id]
        given = {name: getattr(outcome, name) for name in outcome.__slots__ if getattr(outcome, name) is not None}
        self.rows[request_id] = event, replace(before, **given)

    async def controls(self, run_id: str) -> list[tuple[ControlEvent, ControlOutcome]]:
        self._check()
        return list(self.rows.values())

    async def aclose(self) -> None:
        self._check()


def command_log(log: Log, clock: Clock, since: float = 0.0) -> CommandLog:
    async def connect() -> Log:
        log._check()
        return log

    return CommandLog("run", since, connect, clock)


def pause(request_id: str = "p") -> Command:
    return Command(request_id, Action.PAUSE, actor="cli:alice", reason="lunch")


async def test_a_command_is_recorded_acknowledged_and_marked() -> None:
    log, clock = Log(), Clock()
    control = command_log(log, clock)
    ack = await control.send(pause())
    assert (ack.accepted, ack.version) == (True, 1)
    assert (await control.state()).paused
    event, outcome = log.rows["p"]
    assert (event.action, event.actor, event.reason, event.value_to) == ("pause", "cli:alice", "lunch", '{"paused": true}')
    assert outcome.accepted is True
    assert outcome.acknowledged_at is not None
    assert outcome.in_effect_at is None
    await control.in_effect(1)
    marked = log.rows["p"][1].in_effect_at
    assert marked is not None
    await control.in_effect(1)
    assert log.rows["p"][1].in_effect_at == marked
    assert control.recent(20) == [(event, log.rows["p"][1])]


async def test_the_same_request_is_answered_and_not_repeated() -> None:
    log, clock = Log(), Clock()
    control = command_log(log, clock)
    first = await control.send(pause())
    await control.send(Command("r", Action.RESUME))
    assert await control.send(pause()) == first
    assert not (await control.state()).paused


async def test_after_a_restart_the_state_and_the_answers_are_there_again() -> None:
    log, clock = Log(), Clock()
    before = command_log(log, clock)
    await before.send(Command("rate", Action.RATE, 20))
    await before.send(pause())
    again = command_log(log, clock)
    assert await again.state() == await before.state()
    repeated = await again.send(pause())
    assert (repeated.accepted, repeated.version) == (True, 2)
    assert [(event.request_id, outcome) for event, outcome in again.recent(20)] == [(name, log.rows[name][1]) for name in ("p", "rate")]
    assert len(again.recent(1)) == 1
    assert (await again.state()).version == 2


async def test_commands_of_an_earlier_session_are_history() -> None:
    log, clock = Log(), Clock()
    await command_log(log, clock).send(Command("d", Action.DRAIN))
    assert (await command_log(log, clock, since=clock.at.timestamp() + 1).state()).ending is None


async def test_without_the_database_a_command_is_refused_with_the_reason() -> None:
    log, clock = Log(), Clock()
    control = command_log(log, clock)
    await control.state()
    log.down = True
    ack = await control.send(pause())
    assert (ack.accepted, "recorded" in ack.message) == (False, True)
    assert not (await control.state()).paused
    log.down = False
    assert (await control.send(pause())).accepted


async def test_the_first_command_after_an_outage_is_done_over_a_new_connection() -> None:
    log, clock = Log(), Clock()
    connections: list[Log] = []

    async def connect() -> Log:
        connections.append(Log())
        connections[-1].rows = log.rows
        return connections[-1]

    commands = CommandLog("run", 0.0, connect, clock)
    assert (await commands.send(pause("1"))).accepted
    connections[0].down = True
    assert (await commands.send(pause("2"))).accepted
    assert [*log.rows] == ["1", "2"]


@pytest.mark.parametrize("restarted", [False, True])
async def test_without_the_database_an_end_is_obeyed_and_recorded_later(restarted: bool) -> None:
    log, clock = Log(), Clock()
    control = command_log(log, clock)
    await control.send(pause())
    if restarted:
        control = command_log(log, clock)
    log.down = True
    ack = await control.send(Command("s", Action.STOP))
    assert ack.accepted
    assert (await control.state()).ending == "stop"
    await control.tidy()
    assert "s" not in log.rows
    log.down = False
    await control.tidy()
    assert log.rows["s"][1].accepted is True
    assert (await control.state()).ending == "stop"
    assert (await command_log(log, clock).state()).ending == "stop"


async def test_after_a_restart_without_the_database_nobody_is_told_a_state_that_is_not_known() -> None:
    log = Log()
    log.down = True
    with pytest.raises(DatabaseLostError):
        await command_log(log, Clock()).state()


async def test_a_refused_command_is_in_the_log_too() -> None:
    log, clock = Log(), Clock()
    control = command_log(log, clock)
    await control.send(Command("d", Action.DRAIN))
    ack = await control.send(pause())
    assert not ack.accepted
    assert log.rows["p"][1].accepted is False
    assert log.rows["p"][0].value_to is None
    assert (await command_log(log, clock).state()).version == 1
