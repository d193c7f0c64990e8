"""What a throttle is told when it starts, and when what it was told was only the most that could be."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from helix_ray.actors.api import ThrottleApi
from helix_ray.actors.group import ActorGroup, CallFailure, FailureKind
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.records import ApiCall, CallState, Intent
from helix_ray.session import throttle_recovery
from helix_ray.session.plan import Plan
from helix_ray.session.throttle_recovery import ThrottleRecovery, permit_lifetime_s
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.rows import utc_now
from helix_ray.supervision.recovery import LOOK_AGAIN_S, Need, Part, Recovery
from helix_ray.throttle.messages import BucketStats
from support.memory_ledger import MemoryLedger
from support.throttle_bench import ThrottleBench

RUN_ID = "r1"
WORST = Decimal("0.01")
LIFETIME_S = Config().analyzer.request_timeout_s + throttle_recovery.PERMIT_GRACE_S + throttle_recovery.MARGIN_S


def intent(name: str, incarnation: str) -> ApiCall:
    return ApiCall(name, "analysis", 1, [1], CallState.INTENDED, None, "m", worst_case_usd=WORST, throttle_epoch=incarnation)


class World:
    """A throttle that notes what it is told, a ledger in memory, and a clock."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        row = RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True)
        asyncio.run(self.ledger.start_run(row))
        self.incarnation = "e1"
        self.answers = True
        self.told: list[tuple[Decimal, bool]] = []  # what counted
        self.now = 0.0
        plan = Plan(Config(), RUN_ID, Path("home"), Secret("url"), None, row, simulated=True)
        self.recovery = Recovery(permit_lifetime_s(plan))
        self.throttle = ThrottleRecovery(plan)

    def ask(self, name: str, method: object, *arguments: Any) -> Any:
        assert method is ThrottleApi.restore
        spent, _, provisional, only, self.limits = arguments
        if only in ("", self.incarnation):
            self.told.append((spent, provisional))
        return self.incarnation if self.answers else CallFailure(FailureKind.TIMEOUT, TimeoutError())

    def begin(self) -> bool:
        """Whether the throttle that answers knows what it must."""
        self.recovery.on(Part.THROTTLE, self.incarnation)
        if Need.RESTORE_THROTTLE in self.recovery.due(self.now):
            answered, provisional = self.throttle.restore(cast("ActorGroup", self))
            if answered is not None:
                self.recovery.informed(Part.THROTTLE, answered, self.now, provisional=provisional)
        return self.recovery.knows(Part.THROTTLE)

    def correct(self, at: float) -> None:
        self.now = at
        if Need.CORRECT_THROTTLE in self.recovery.due(at):
            told = self.recovery.incarnation(Part.THROTTLE)
            assert told is not None
            spent_usd, answered = self.throttle.correct(cast("ActorGroup", self), told)
            self.recovery.corrected(spent_usd, answered, at)

    def intend(self, name: str) -> None:
        asyncio.run(self.ledger.intend(RUN_ID, [Intent(intent(name, self.incarnation))]))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    def with_ledger(url: Secret, use: Callable[[MemoryLedger], Awaitable[Any]]) -> Any:
        async def session() -> Any:
            return await use(made.ledger)

        return asyncio.run(session())

    monkeypatch.setattr(throttle_recovery, "with_ledger", with_ledger)
    monkeypatch.setattr(throttle_recovery.time, "monotonic", lambda: made.now)
    return made


def test_the_first_throttle_is_told_what_earlier_sessions_spent_with_what_they_left_open(world: World) -> None:
    world.intend("of a process that died")
    assert world.begin()
    world.correct(10 * LIFETIME_S)
    assert world.told == [(WORST, False)]
    assert asyncio.run(world.ledger.counts(RUN_ID)).possibly_billed == 1


def test_a_successor_is_told_all_that_was_authorised_and_the_ledger_once_no_permit_can_be_alive(world: World) -> None:
    world.begin()
    asyncio.run(world.ledger.authorise(RUN_ID, Decimal("0.5")))
    world.intend("by the first")
    world.incarnation = "e2"
    assert world.begin()
    world.intend("by the second, which counts it itself")
    world.correct(LIFETIME_S - 1)
    assert world.told[1:] == [(Decimal("0.5"), True)]
    world.correct(LIFETIME_S)
    world.correct(LIFETIME_S + LOOK_AGAIN_S)
    assert world.told[2:] == [(WORST, False)] * 2
    world.correct(LIFETIME_S + 2 * LOOK_AGAIN_S)
    assert len(world.told) == 4, "it did not change any more"


def test_a_throttle_that_started_since_is_not_told_what_was_meant_for_its_predecessor(world: World) -> None:
    world.begin()
    asyncio.run(world.ledger.authorise(RUN_ID, Decimal("0.5")))
    world.incarnation = "e2"
    world.begin()
    world.incarnation = "e3"  # and nobody noticed yet
    world.correct(LIFETIME_S)
    assert world.told[2:] == []
    assert world.begin()
    world.correct(LIFETIME_S + LOOK_AGAIN_S)
    assert world.told[2:] == [(Decimal("0.5"), True)]


def test_no_request_of_this_session_is_closed_when_the_first_word_seems_not_to_be_heard(world: World) -> None:
    world.answers = False
    assert not world.begin()
    asyncio.run(world.ledger.authorise(RUN_ID, Decimal("0.5")))
    world.intend("granted all the same")
    world.answers = True
    assert world.begin()
    assert world.told[1:] == [(Decimal("0.5"), True)]
    assert asyncio.run(world.ledger.counts(RUN_ID)).possibly_billed == 0
    assert asyncio.run(world.ledger.reserved_usd(RUN_ID)) == Decimal("0.5")


def test_a_successor_is_told_the_limits_that_were_found(world: World) -> None:
    bucket = BucketStats(60.0, "discovered", 10.0, 0.0, 0.0, 60.0, 0.5)
    stats = replace(ThrottleBench().governor.stats(100.0), buckets={"RPM": bucket, "TPM": replace(bucket, source="configured")})
    world.throttle.note(stats)
    assert world.begin()
    assert world.limits == {"RPM": 60.0}
