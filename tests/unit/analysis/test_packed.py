"""Several reads in one answer: whatever the model does with the ids, no read gets another read's calls."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.analysis.answers import ParsedAnswers
from helix_ray.analysis.read_answer import reread_answer
from helix_ray.providers.readings import AnswerError
from support.answer_bodies import CALL, body, parse_answer

ASKED = [f"read{number}" for number in range(8)]
FOREIGN = ["read8", "READ0", "read0 ", ""]


def own_calls(read_id: str) -> list[dict[str, Any]]:
    """Calls that name their read, so that a crossing shows."""
    return [{"pos": sum(map(ord, read_id)) + 1000 * len(read_id), "ref": "A", "alt": "G", "confidence": 0.5}]


def item(read_id: str, **changed: Any) -> dict[str, Any]:
    return {"id": read_id, "calls": own_calls(read_id), **changed}


def parse(items: list[Any], asked: list[str] = ASKED) -> ParsedAnswers:
    parsed = parse_answer(body({"reads": items}), asked, packed=True, work=False)
    assert isinstance(parsed, ParsedAnswers)
    return parsed


def positions(parsed: ParsedAnswers) -> dict[str, list[int]]:
    return {read_id: [call.pos for call in answer.calls] for read_id, answer in parsed.answers.items()}


def own_positions(read_ids: list[str]) -> dict[str, list[int]]:
    return {read_id: [call["pos"] for call in own_calls(read_id)] for read_id in read_ids}


@given(st.permutations(ASKED))
def test_the_order_does_not_matter(order: list[str]) -> None:
    parsed = parse([item(read_id) for read_id in order])
    assert positions(parsed) == own_positions(ASKED)
    assert (parsed.faults, parsed.foreign) == ({}, 0)


@given(st.lists(st.sampled_from([*ASKED, *FOREIGN]), max_size=20), st.integers(1, len(ASKED)))
def test_shuffled_dropped_repeated_and_invented_ids_never_cross(given_ids: list[str], size: int) -> None:
    asked, times = ASKED[:size], Counter(given_ids)
    parsed = parse([item(read_id) for read_id in given_ids], asked)
    assert positions(parsed) == own_positions([read_id for read_id in asked if times[read_id] == 1])
    assert {read_id: fault.message for read_id, fault in parsed.faults.items()} == {
        read_id: f"the answer has this read {times[read_id]} times" if times[read_id] else "the answer leaves this read out"
        for read_id in asked
        if times[read_id] != 1
    }
    assert {fault.kind for fault in parsed.faults.values()} <= {"schema_error"}
    assert parsed.foreign == sum(count for read_id, count in times.items() if read_id not in asked)


_JUNK = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.fixed_dictionaries({"id": st.one_of(st.integers(), st.none(), st.lists(st.text(max_size=2), max_size=2))}),
    st.fixed_dictionaries({"calls": st.just([CALL])}),
)


@given(st.data())
def test_items_that_are_none_take_nothing_from_the_others(data: st.DataObject) -> None:
    junk = data.draw(st.lists(_JUNK, max_size=6))
    parsed = parse(data.draw(st.permutations([*map(item, ASKED), *junk])))
    assert positions(parsed) == own_positions(ASKED)
    assert parsed.foreign == len(junk)


@given(st.sets(st.sampled_from(ASKED)))
def test_a_malformed_item_costs_its_own_read_only(broken: set[str]) -> None:
    parsed = parse([item(read_id, calls="none") if read_id in broken else item(read_id) for read_id in ASKED])
    assert positions(parsed) == own_positions([read_id for read_id in ASKED if read_id not in broken])
    assert {read_id: fault.message for read_id, fault in parsed.faults.items()} == dict.fromkeys(broken, "calls is not a list")


def test_two_answers_for_a_read_are_none_even_if_they_agree_or_one_is_broken() -> None:
    for second in (item("read0"), item("read0", calls=7), {"id": "read0"}):
        parsed = parse([item("read0"), second, item("read1")], ["read0", "read1"])
        assert list(parsed.answers) == ["read1"]
        assert parsed.faults["read0"].message == "the answer has this read 2 times"


def test_each_stored_text_is_the_answer_of_its_read_alone() -> None:
    parsed = parse([item(read_id) for read_id in reversed(ASKED)])
    for read_id, answer in parsed.answers.items():
        assert json.loads(answer.text) == item(read_id)
        assert reread_answer(answer.text) == answer


def test_a_leniency_is_counted_for_the_read_that_needed_it_and_a_fence_for_all() -> None:
    items = [item("a", calls=[{**CALL, "ref": "a"}]), item("b"), item("c", calls=[{**CALL, "pos": "3", "alt": "-"}])]
    plain = parse(items, ["a", "b", "c"])
    assert {name: answer.leniency for name, answer in plain.answers.items()} == {"a": ("case",), "b": (), "c": ("gap_allele", "pos_text")}
    fenced = parse_answer(body(f"```json\n{json.dumps({'reads': items})}\n```"), ["a", "b", "c"], packed=True, work=False)
    assert isinstance(fenced, ParsedAnswers)
    assert all("fence" in answer.leniency for answer in fenced.answers.values())


def test_one_read_of_a_packed_run_is_answered_packed() -> None:
    assert positions(parse([item("read0")], ["read0"])) == own_positions(["read0"])
    error = parse_answer(body(item("read0")), ["read0"], packed=True, work=False)
    assert isinstance(error, AnswerError)
    assert error.kind == "schema_error"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (body({"reads": {}}), "schema_error"),
        (body({"reads": [], "note": ""}), "schema_error"),
        (body([item("read0")]), "schema_error"),
        (body('{"reads": [{"id": "read0", "calls": []}, {"id": "read1"'), "parse_error"),
        (body('{"reads": [{"id": "read0", "calls": []}', finish="length"), "truncated"),
        (body("", refusal="no"), "refused"),
        (body('{"reads": [{"id": "read1", "id": "read0", "calls": []}]}'), "parse_error"),
        (body('{"reads": [{"id": "read0", "calls": [], "calls": []}]}'), "parse_error"),
        (b"", "broken_body"),
    ],
)
def test_of_what_is_no_packed_answer_nothing_is_taken(reply: bytes, kind: str) -> None:
    error = parse_answer(reply, ASKED, packed=True, work=False)
    assert isinstance(error, AnswerError)
    assert error.kind == kind


def test_work_stands_in_each_item() -> None:
    items = [{"work": "none", **item("read0")}, item("read1")]
    parsed = parse_answer(body({"reads": items}), ["read0", "read1"], packed=True, work=True)
    assert isinstance(parsed, ParsedAnswers)
    assert json.loads(parsed.answers["read0"].text)["work"] == "none"
    assert parsed.faults["read1"].message == "the answer is not an object with exactly work, id and calls"
