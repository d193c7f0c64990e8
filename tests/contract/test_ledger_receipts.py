"""What every `Ledger` promises about answers: kept from their arrival until the last of their reads has its row, and never asked for
again meanwhile.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from helix_ray.records import ApiCall, CallState, Disposition, Intent, ReadResult, Receipt
from helix_ray.storage.ledger import Ledger
from support.ledger_values import RUN_ID, START, call
from support.list_source import sample_read

BODY = b'\x00{"choices": "as it came \xff"}'


def name(number: int) -> str:
    return str(uuid.UUID(int=number))


def request(number: int, indices: list[int], kind: str = "analysis", **unusable: list[int]) -> Intent:
    made: ApiCall = call(number, indices, CallState.INTENDED, kind=kind, created_at=START, status=None, latency_ms=None)
    return Intent(made, tuple((name(int(of[1:])), index) for of, found in unusable.items() for index in found))


def receipt(number: int, indices: list[int], after_s: float = 1.0) -> Receipt:
    return Receipt(name(number), indices, START + timedelta(seconds=after_s), 200, BODY)


def row(number: int, index: int) -> ReadResult:
    return ReadResult(sample_read(index), Disposition.STORED, call_id=name(number))


async def refused(ledger: Ledger, intent: Intent, unsaved: Sequence[int] = ()) -> Any:
    """None: it may be sent. Else (done, unsaved, (read, request whose answer is handed back))."""
    found = await ledger.intend(RUN_ID, [intent], [], unsaved)
    if not found:
        return None
    assert [each.call_id for each in found] == [intent.call.call_id]
    return found[0].done, found[0].unsaved, [(index, uuid.UUID(stored.call.call_id).int) for index, stored in found[0].answers]


async def test_a_request_is_sent_unless_a_read_of_it_has_a_row_a_result_or_an_answer(ledger: Ledger) -> None:
    assert await ledger.intend(RUN_ID, [request(1, [1, 2]), request(2, [3])]) == []
    await ledger.intend(RUN_ID, [], [receipt(1, [1, 2])])
    await ledger.write_batch(RUN_ID, [row(2, 3)], [])
    assert await refused(ledger, request(3, [1, 3, 4, 5]), unsaved=[4]) == ([3], [4], [(1, 1)])
    assert await refused(ledger, request(4, [5])) is None
    assert (await ledger.counts(RUN_ID)).calls_by_state == {"intended": 3}, "of a refused request nothing is on record"


async def test_an_answer_is_handed_back_as_it_came(ledger: Ledger) -> None:
    sent = request(1, [1, 2], kind="repair")
    await ledger.intend(RUN_ID, [sent])
    for _ in range(2):  # said again
        await ledger.intend(RUN_ID, [], [receipt(1, [1, 2])])
    ((_, _, _, [(index, stored)]),) = await ledger.intend(RUN_ID, [request(2, [2])])
    assert (index, stored.receipt, stored.call) == (2, receipt(1, [1, 2]), sent.call)


async def test_a_group_is_checked_against_the_answers_that_come_with_it(ledger: Ledger) -> None:
    await ledger.intend(RUN_ID, [request(1, [1])])
    (found,) = await ledger.intend(RUN_ID, [request(2, [1]), request(3, [2])], [receipt(1, [1])])
    assert (found.call_id, [stored.receipt for _, stored in found.answers]) == (name(2), [receipt(1, [1])])


async def test_an_answer_that_its_holder_found_unusable_keeps_nothing_back_also_for_the_next_holder(ledger: Ledger) -> None:
    await ledger.intend(RUN_ID, [request(1, [1, 2, 3])])
    repair = request(2, [1], kind="repair", n1=[1])
    assert await ledger.intend(RUN_ID, [repair, request(3, [2], kind="repair", n1=[2])], [receipt(1, [1, 2, 3])]) == []
    assert await ledger.intend(RUN_ID, [repair]) == [], "said again"
    assert await refused(ledger, request(4, [1, 2])) is None
    assert await refused(ledger, request(5, [3])) == ([], [], [(3, 1)]), "a part that was not judged is still there"
    await ledger.intend(RUN_ID, [], [receipt(2, [1], 9.0)])
    assert await refused(ledger, request(6, [1])) == ([], [], [(1, 2)])
    await ledger.intend(RUN_ID, [request(7, [4])])
    assert await ledger.intend(RUN_ID, [request(8, [4], n7=[4])], [receipt(7, [4])]) == []
    assert await refused(ledger, request(9, [4], n1=[4])) is None


async def test_the_oldest_answer_comes_first(ledger: Ledger) -> None:
    await ledger.intend(RUN_ID, [request(1, [1]), request(2, [1])])
    await ledger.intend(RUN_ID, [], [receipt(1, [1], 5.0), receipt(2, [1], 2.0)])
    assert await refused(ledger, request(3, [1])) == ([], [], [(1, 2), (1, 1)])


@pytest.mark.parametrize("swept", [False, True])
async def test_an_answer_goes_with_the_row_of_its_last_read_and_does_not_come_back(ledger: Ledger, swept: bool) -> None:
    await ledger.intend(RUN_ID, [request(1, [1, 2]), request(2, [1])])
    await ledger.intend(RUN_ID, [], [receipt(1, [1, 2]), receipt(2, [1])])
    await ledger.write_batch(RUN_ID, [row(1, 1)], [])
    assert await refused(ledger, request(3, [2])) == ([], [], [(2, 1)])
    await ledger.write_batch(RUN_ID, [row(1, 2)], [])
    for again in (receipt(1, [1, 2]), receipt(2, [1])):
        await ledger.intend(RUN_ID, [], [again])
    if swept:
        await ledger.close_open_calls(RUN_ID)
    await ledger.intend(RUN_ID, [request(9, [9])])
    assert await refused(ledger, request(4, [1])) == ([1], [], [])
