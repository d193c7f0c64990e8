"""Liveness, endings, the restart breaker, and recovery from deaths in any order: in the end every part knows what it must."""

import itertools
from decimal import Decimal

import pytest

from helix_ray.records import AnalyzerEnd, RunStatus
from helix_ray.supervision.endings import Ending, Facts, decide
from helix_ray.supervision.liveness import HUNG_AFTER_S, PING_INTERVAL_S, Liveness, RestartBreaker
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


def test_an_actor_is_pinged_every_interval_and_only_once_at_a_time() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    assert live.due(PING_INTERVAL_S - 0.1) == []
    assert live.due(PING_INTERVAL_S) == ["a"]
    assert live.due(PING_INTERVAL_S + 1) == []
    assert live.answered("a", "one", PING_INTERVAL_S + 1) is False
    assert live.due(2 * PING_INTERVAL_S + 1) == ["a"]


def test_a_new_incarnation_is_a_restart() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    assert live.answered("a", "one", 1.0) is False
    assert live.answered("a", "one", 2.0) is False
    assert live.answered("a", "two", 3.0) is True
    assert live.answered("a", "two", 4.0) is False


def test_a_pause_of_twenty_seconds_is_no_death_and_a_longer_one_is() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    for asked_at in (10.0, 40.0):
        assert live.due(asked_at) == ["a"]
        assert live.hung(asked_at + 20.5) == []
        live.answered("a", "one", asked_at + 20.5)
    assert live.due(70.0) == ["a"]
    assert live.hung(70.0 + HUNG_AFTER_S) == ["a"]
    assert live.hung(70.0 + HUNG_AFTER_S) == []
    live.due(100.0)
    live.failed("a", 100.0)  # a dead process is not a hung one
    assert live.hung(200.0) == []


def test_a_driver_that_was_suspended_does_not_blame_the_actors() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    assert live.due(5.0) == ["a"]
    assert live.due(605.0) == []
    assert (live.hung(605.0), live.silent(605.0, for_s=60.0)) == ([], [])
    assert live.due(610.0) == []
    assert live.hung(605.0 + HUNG_AFTER_S) == ["a"]


def test_a_new_sink_that_counts_from_zero_is_no_progress_but_its_rows_are() -> None:
    breaker = RestartBreaker(most=2, window_s=60)
    breaker.progress(5000)
    breaker.restarted(0.0)
    breaker.progress(0)
    assert not breaker.is_open
    breaker.progress(10)
    breaker.restarted(1.0)
    assert not breaker.is_open
    breaker.restarted(2.0)
    assert breaker.is_open


def test_an_actor_that_never_answers_again_is_noticed() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    live.answered("a", "one", 1.0)
    live.failed("a", 30.0)
    assert live.silent(60.0, for_s=60.0) == []
    assert live.silent(61.0, for_s=60.0) == ["a"]


def test_the_breaker_opens_only_without_progress() -> None:
    breaker = RestartBreaker(most=3, window_s=60)
    breaker.progress(5)
    for now in (0.0, 1.0):
        breaker.restarted(now)
    breaker.progress(10)
    for now in (2.0, 3.0):
        breaker.restarted(now)
        breaker.progress(10)
    assert not breaker.is_open
    breaker.restarted(4.0)
    assert breaker.is_open


def test_old_restarts_leave_the_window() -> None:
    breaker = RestartBreaker(most=2, window_s=60)
    breaker.restarted(0.0)
    breaker.restarted(61.0)
    assert not breaker.is_open


def test_endings() -> None:
    cases = [
        (Facts(1.0), None),
        (Facts(1.0, all_stored=True), (RunStatus.COMPLETE, False)),
        (Facts(5.0, max_duration_s=5.0), (RunStatus.LIMITED, False)),
        (Facts(4.9, max_duration_s=5.0), None),
        (Facts(1.0, budget_exhausted="spent"), (RunStatus.LIMITED, False)),
        (Facts(1.0, signals=1), (RunStatus.STOPPED, False)),
        (Facts(1.0, signals=2), (RunStatus.STOPPED, True)),
        (Facts(1.0, asked_to="drain"), (RunStatus.STOPPED, False)),
        (Facts(1.0, asked_to="stop"), (RunStatus.STOPPED, True)),
        (Facts(1.0, refused="401", signals=1), (RunStatus.REFUSED, False)),
        (Facts(1.0, sink_error="gone"), (RunStatus.FAILED, False)),
        (Facts(1.0, restart_storm="storm"), (RunStatus.FAILED, False)),
        (Facts(1.0, source_error="bad record"), (RunStatus.FAILED, False)),
        (Facts(1.0, daily_stop="TPD"), (RunStatus.LIMITED, False)),
        (Facts(1.0, analyzers_ended=frozenset({AnalyzerEnd.CLOSED, AnalyzerEnd.DRAINED, AnalyzerEnd.ENDING})), None),
        (Facts(1.0, analyzers_ended=frozenset({AnalyzerEnd.DAILY})), (RunStatus.LIMITED, False)),
        (Facts(1.0, analyzers_ended=frozenset({AnalyzerEnd.BUDGET, AnalyzerEnd.CLOSED})), (RunStatus.LIMITED, False)),
        (Facts(1.0, analyzers_ended=frozenset({AnalyzerEnd.DAILY, AnalyzerEnd.REFUSED})), (RunStatus.REFUSED, False)),
        (Facts(1.0, all_stored=True, analyzers_ended=frozenset({AnalyzerEnd.BUDGET})), (RunStatus.COMPLETE, False)),
    ]
    for facts, expected in cases:
        ending = decide(facts)
        assert (ending and (ending.status, ending.force)) == expected, facts


def test_exit_codes() -> None:
    codes = {status: Ending(status, "").exit_code(1, 0) for status in RunStatus if status is not RunStatus.RUNNING}
    assert codes == {
        RunStatus.COMPLETE: 0,
        RunStatus.LIMITED: 3,
        RunStatus.REFUSED: 4,
        RunStatus.STOPPED: 130,
        RunStatus.FAILED: 1,
    }
    assert Ending(RunStatus.COMPLETE, "").exit_code(stored=9, dead_letters=1) == 5
    assert Ending(RunStatus.COMPLETE, "").exit_code(stored=0, dead_letters=0) == 5
    assert Ending(RunStatus.STOPPED, "").exit_code(stored=0, dead_letters=0) == 130
