"""Whatever dies in whatever order, and whatever does not hear: in the end every part knows what it must."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest

from helix_ray.supervision.recovery import LOOK_AGAIN_S, Need, Part, Recovery

LIFETIME_S = 70.0
SPENT = Decimal("0.25")
STARTS = {Part.THROTTLE: Need.RESTORE_THROTTLE, Part.QUEUE: Need.OPEN_QUEUE}
TO_TELL = {**{need: part for part, need in STARTS.items()}, Need.CORRECT_THROTTLE: Part.THROTTLE, Need.INFORM_QUEUE: Part.QUEUE}


class Run:
    """The parts of a run: what each incarnation was told. Parts in ``deaf`` do not hear."""

    def __init__(self) -> None:
        self.recovery = Recovery(LIFETIME_S)
        self.now = 0.0
        self.incarnation = dict.fromkeys(Part, 0)
        self.told: dict[tuple[Part, int], list[Need]] = {}
        self.sinks_in_queue = 0  # the newest sink whose commits the queue knows, once that sink is dead
        self.restores = 0
        self.provisional = False  # the newest throttle was told the most that can be spent
        self.deaf: set[Part] = set()

    def die(self, part: Part) -> None:
        self.incarnation[part] += 1

    def look(self) -> list[Need]:
        """As the driver: every part answers, then all that is due is done."""
        for part in Part:
            self.recovery.on(part, str(self.incarnation[part]))
        due = self.recovery.due(self.now)
        for need in due:
            part = TO_TELL[need]
            name = None if part in self.deaf else str(self.incarnation[part])
            if need is Need.CORRECT_THROTTLE:
                self.recovery.corrected(SPENT, name, self.now)
            elif name is not None:
                self.provisional = need is Need.RESTORE_THROTTLE and self.restores > 0 if part is Part.THROTTLE else self.provisional
                self.recovery.informed(part, name, self.now, provisional=part is Part.THROTTLE and self.provisional)
            self.restores += need is Need.RESTORE_THROTTLE  # heard or not: a throttle that seemed not to hear may have granted
            if name is not None:
                self.told.setdefault((part, self.incarnation[part]), []).append(need)
            if part is Part.QUEUE and name is not None:
                self.sinks_in_queue = self.incarnation[Part.SINK]
        return due

    def settle(self) -> None:
        """Looks until nothing is due and nothing will be."""
        self.deaf.clear()
        for _ in range(10):
            self.look()
            self.now += LIFETIME_S
        assert self.look() == []

    def check(self) -> None:
        for part, start in STARTS.items():
            assert start in self.told[part, self.incarnation[part]], part
            assert self.recovery.knows(part)
            assert self.recovery.incarnation(part) == str(self.incarnation[part])
        assert self.sinks_in_queue == self.incarnation[Part.SINK]
        corrections = self.told[Part.THROTTLE, self.incarnation[Part.THROTTLE]].count(Need.CORRECT_THROTTLE)
        assert corrections == (2 if self.provisional else 0), "until the sum is the same twice"


def test_a_start_tells_the_parts_in_their_order_and_once() -> None:
    run = Run()
    assert run.look() == [Need.RESTORE_THROTTLE, Need.OPEN_QUEUE]
    assert run.look() == []
    run.now = 10 * LIFETIME_S
    assert run.look() == [], "the first throttle was told the exact sum"


ORDERS = [order for length in (1, 2, 3, 4, 5) for order in itertools.product(Part, repeat=length)]


@pytest.mark.parametrize("looks", [True, False], ids=["seen apart", "seen together"])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " ".join(part.value for part in order))
def test_every_order_of_death_ends_with_every_part_told(order: tuple[Part, ...], looks: bool) -> None:
    run = Run()
    run.look()
    for part in order:
        run.die(part)
        if looks:
            assert run.look()
    run.settle()
    run.check()


@pytest.mark.parametrize(("first", "second", "deaf"), [*itertools.product(Part, Part, Part)])
def test_a_part_that_does_not_hear_is_told_again(first: Part, second: Part, deaf: Part) -> None:
    run = Run()
    run.deaf = {deaf}
    run.look()
    run.die(first)
    run.look()
    run.die(second)
    run.deaf = {second}
    run.look()
    run.settle()
    run.check()


def test_a_dead_sink_leaves_the_queue_uninformed_unless_it_is_opened_anew() -> None:
    run = Run()
    run.look()
    run.die(Part.SINK)
    assert run.look() == [Need.INFORM_QUEUE]
    run.die(Part.SINK)
    run.die(Part.QUEUE)
    assert run.look() == [Need.OPEN_QUEUE]
    assert run.look() == []


def test_a_throttle_is_corrected_when_no_permit_of_its_predecessor_can_be_alive_until_the_sum_stays() -> None:
    run = Run()
    run.look()
    run.die(Part.THROTTLE)
    assert run.look() == [Need.RESTORE_THROTTLE]
    run.now = LIFETIME_S - 1
    assert run.look() == []
    run.now = LIFETIME_S
    assert run.look() == [Need.CORRECT_THROTTLE]
    assert run.look() == []
    run.now += LOOK_AGAIN_S
    assert run.look() == [Need.CORRECT_THROTTLE]
    run.now += 10 * LOOK_AGAIN_S
    assert run.look() == []


def test_a_throttle_that_was_born_while_its_predecessor_was_corrected_is_told_first() -> None:
    recovery = Recovery(LIFETIME_S)
    recovery.on(Part.THROTTLE, "1")
    recovery.informed(Part.THROTTLE, "1", 0.0, provisional=True)
    assert recovery.due(LIFETIME_S) == [Need.CORRECT_THROTTLE]
    recovery.corrected(SPENT, "2", LIFETIME_S)
    assert recovery.due(LIFETIME_S) == [Need.RESTORE_THROTTLE]
