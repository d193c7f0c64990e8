"""What the outside judge calls paid again, lost, doubled and late."""

from collections import Counter
from decimal import Decimal

import pytest

from support.outside_judge import Ask, Fault, Verdict, late_sends, repaid, table

KILL = [Fault(100.0, 100.0, "QueueActor")]


@pytest.mark.parametrize(
    ("asked", "faults", "kind"),
    [
        pytest.param([Ask("r", 90, 98.9, True), Ask("r", 103, 105, True)], KILL, "received", id="received before the kill"),
        pytest.param([Ask("r", 90, 99.5, True), Ask("r", 103, 105, True)], KILL, "in_flight", id="a moment before the kill"),
        pytest.param([Ask("r", 99, 100, False), Ask("r", 103, 105, True)], KILL, "in_flight", id="in flight at the kill"),
        pytest.param([Ask("r", 90, 95, False), Ask("r", 103, 105, True)], KILL, "in_flight", id="answered, unusable"),
        pytest.param([Ask("r", 99, 104, True), Ask("r", 102, 105, True)], KILL, "in_flight", id="asked again before the first answer"),
        pytest.param([Ask("r", 101, 102, True), Ask("r", 103, 105, True)], KILL, "needless", id="asked and answered after the kill"),
        pytest.param([Ask("r", 90, 95, True), Ask("r", 99, 105, True)], KILL, "needless", id="asked again before any fault"),
        pytest.param([Ask("r", 90, 95, True), Ask("r", 103, 105, True)], [Fault(94.0, 99.0)], "in_flight", id="received in a pause"),
        pytest.param([Ask("r", 99, 100, False), Ask("other", 103, 105, True)], KILL, None, id="another read"),
    ],
)
def test_what_was_known_before_the_fault_decides(asked: list[Ask], faults: list[Fault], kind: str | None) -> None:
    assert Counter(found for found, _ in repaid(asked, faults).elements()) == Counter([kind] if kind else [])


def test_a_repeat_is_charged_to_the_fault_that_came_last_before_it() -> None:
    asked = [Ask("r", 99, 100, False), Ask("r", 103, 111, False), Ask("r", 113, 115, True)]
    assert repaid(asked, [*KILL, Fault(111.0, 111.0, "SinkActor")]) == Counter([("in_flight", "QueueActor"), ("in_flight", "SinkActor")])


def test_only_what_arrives_between_the_drivers_death_and_the_resume_is_late() -> None:
    assert late_sends([{"time": 99.9}, {"time": 100.1}, {"time": 100.3}, {"time": 111.0}], 100.0, 110.0) == 1


def test_each_broken_promise_is_named() -> None:
    total = Verdict("kills")
    assert total.broken({0}) == []
    total.add(Verdict("kills", hits=2, lost=1, received=3, in_flight=7, bill=Decimal("0.5"), books=Decimal("0.4"), exits=Counter([0, 15])))
    total.in_flight_of["SinkActor"] += 7
    total.add(Verdict("kills", hits=1, left=2, exits=Counter([0])))
    assert total.broken({0}) == ["lost 1", "received 3", "left 2", "exit 15", "bill 0.5 above the books 0.4"]
    assert "| kills | 3 | 1 | 0 | 0 | 3 | 0 | 7 | 0 | 2 | 0 | SinkActor x7 | 0 x2, 15 x1 | 0.5000 / 0.4000 | - |" in table([total])
