"""Completions for one read and for several: what became of each, and no read gets another read's calls."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.analysis.answers import ParsedAnswers
from helix_ray.analysis.read_answer import MAX_CALLS, MAX_TEXT, ReadAnswer, reread_answer
from helix_ray.providers.groq.replies import parse_completion
from helix_ray.providers.outside_text import printable
from helix_ray.providers.readings import AnswerError, Completion
from helix_ray.records import TokenUsage
from support.answer_bodies import CALL, body, parse_answer

ID = "r1"


def parse(reply: bytes, work: bool = False) -> ParsedAnswers | AnswerError:
    return parse_answer(reply, [ID], packed=False, work=work)


def only(reply: bytes) -> ReadAnswer:
    parsed = parse(reply)
    assert isinstance(parsed, ParsedAnswers)
    assert (list(parsed.answers), parsed.faults, parsed.foreign) == ([ID], {}, 0)
    return parsed.answers[ID]


def completion_of(reply: bytes) -> Completion:
    completion = parse_completion(reply)
    assert isinstance(completion, Completion)
    return completion


def answer(*calls: Any, read_id: Any = ID) -> bytes:
    return body({"id": read_id, "calls": list(calls)})


def test_a_valid_answer() -> None:
    reply = answer(CALL, {**CALL, "confidence": 1})
    parsed, completion = parse(reply), completion_of(reply)
    assert isinstance(parsed, ParsedAnswers)
    assert [tuple(call) for call in parsed.answers[ID].calls] == [(3, "A", "G", 0.5), (3, "A", "G", 1.0)]
    assert parsed.answers[ID].leniency == ()
    assert parsed.answers[ID].text == completion.content
    assert completion.usage == TokenUsage(700, 128, 60)
    assert (completion.model, completion.system_fingerprint, completion.service_tier) == ("openai/gpt-oss-20b", "fp_1", "on_demand")
    assert completion.request_id == "req_1"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"<html>",
        b'{"choices": [',
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"choices": []}',
        b'{"choices": [7]}',
        b'{"choices": [{"message": "hi"}]}',
        b'{"x": NaN}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_completion_is_not_an_answer_that_was_given(broken: bytes) -> None:
    error = parse_completion(broken)
    assert isinstance(error, AnswerError)
    assert error.kind == "broken_body"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (body('{"id": "r1", "calls": [', finish="length"), "truncated"),
        (body("", refusal="I cannot help with that"), "refused"),
        (body("", finish="content_filter"), "refused"),
        (body(""), "parse_error"),
        (body("No mutation found."), "parse_error"),
        (body('{"id": "r1", "calls": [{"pos": 3, "ref": "A", "alt": "G", "confidence": NaN}]}'), "parse_error"),
        (body("[" * 50_000), "parse_error"),
        (body('{"id":' * 50_000), "parse_error"),
        (body('{"id": "r1", "calls": [{"pos": 3, "ref": "A", "alt": "G", "confidence": 1e999}]}'), "parse_error"),
        (body('{"id": "r1", "calls": []} or rather {"id": "r1", "calls": []}'), "parse_error"),
        (body('{"note": {"id": "r1", "calls": []}, '), "parse_error"),
        (body('{"id": "r1", "calls": [{"pos": 1' + "0" * 5000 + ', "ref": "A", "alt": "G", "confidence": 1}]}'), "parse_error"),
        (body([]), "schema_error"),
        (body({"id": ID}), "schema_error"),
        (body({"reads": [{"id": ID, "calls": []}]}), "schema_error"),
        (body({"work": "none", "id": ID, "calls": []}), "schema_error"),
        (body({"id": ID, "calls": [], "note": "x"}), "schema_error"),
        (body({"id": ID, "calls": {}}), "schema_error"),
        (answer("3A>G"), "schema_error"),
        (answer({**CALL, "type": "SNV"}), "schema_error"),
        (answer({"pos": 3, "ref": "A", "alt": "G"}), "schema_error"),
        (answer({**CALL, "pos": "three"}), "schema_error"),
        (answer({**CALL, "pos": "3.0"}), "schema_error"),
        (answer({**CALL, "pos": "9999999999"}), "schema_error"),
        (answer({**CALL, "pos": 3.5}), "schema_error"),
        (answer({**CALL, "pos": True}), "schema_error"),
        (answer({**CALL, "pos": 10**12}), "schema_error"),
        (answer({**CALL, "ref": None}), "schema_error"),
        (answer({**CALL, "alt": "A" * 5000}), "schema_error"),
        (answer({**CALL, "confidence": "high"}), "schema_error"),
        (answer({**CALL, "confidence": True}), "schema_error"),
        (answer(*[CALL] * (MAX_CALLS + 1)), "schema_error"),
    ],
)
def test_what_is_paid_for_but_not_usable_is_named(reply: bytes, kind: str) -> None:
    error = parse(reply)
    assert isinstance(error, AnswerError)
    assert error.kind == kind
    assert completion_of(reply).usage == TokenUsage(700, 128, 60)


@pytest.mark.parametrize("read_id", ["r2", "", 7, None])
def test_an_answer_under_another_id_is_a_fault_of_the_read_that_was_asked(read_id: Any) -> None:
    parsed = parse(answer(CALL, read_id=read_id))
    assert isinstance(parsed, ParsedAnswers)
    assert (parsed.answers, parsed.foreign) == ({}, 1)
    assert (parsed.faults[ID].kind, parsed.faults[ID].message) == ("schema_error", "the answer carries another read's id")


def test_with_work_the_answer_has_it() -> None:
    parsed = parse(body({"work": "none", "id": ID, "calls": []}), work=True)
    assert isinstance(parsed, ParsedAnswers)
    assert parsed.answers[ID].calls == []
    for without in ({"id": ID, "calls": []}, {"work": 7, "id": ID, "calls": []}):
        error = parse(body(without), work=True)
        assert isinstance(error, AnswerError)
        assert error.kind == "schema_error"


@pytest.mark.parametrize("confidence", [95, -0.1, 1e308, float(10**300)])
def test_a_confidence_out_of_range_costs_the_confidence_not_the_call(confidence: float) -> None:
    assert only(answer({**CALL, "confidence": confidence})).calls[0].confidence is None


def test_an_answer_too_long_to_be_stored_whole_is_none() -> None:
    error = parse(answer(*[{**CALL, "ref": "A" * 4000}] * 30))
    assert isinstance(error, AnswerError)
    assert (error.kind, error.message) == ("schema_error", f"the answer has more than {MAX_TEXT} characters")


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {"prompt_tokens": "many", "completion_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
    ],
)
def test_usage_that_is_not_counts_is_none(usage: Any) -> None:
    assert completion_of(body({"id": ID, "calls": []}, usage=usage)).usage is None


def test_cached_tokens_never_exceed_the_prompt() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}
    assert completion_of(body({"id": ID, "calls": []}, usage=usage)).usage == TokenUsage(10, 10, 1)


def test_text_becomes_storable() -> None:
    assert printable("ok", 10) == "ok"
    assert printable("a\0b", 20) == "a\\u0000b"
    assert printable("\ud800é", 20) == "\\ud800é"
    assert printable("abcdef", 4) == "abc…"


ASKED = [f"read{number}" for number in range(8)]
FOREIGN = ["read8", "READ0", "read0 ", ""]


def own_calls(read_id: str) -> list[dict[str, Any]]:
    """Calls that name their read, so that a crossing shows."""
    return [{"pos": sum(map(ord, read_id)) + 1000 * len(read_id), "ref": "A", "alt": "G", "confidence": 0.5}]


def item(read_id: str, **changed: Any) -> dict[str, Any]:
    return {"id": read_id, "calls": own_calls(read_id), **changed}


def parse_packed(items: list[Any], asked: list[str] = ASKED) -> ParsedAnswers:
    parsed = parse_answer(body({"reads": items}), asked, packed=True, work=False)
    assert isinstance(parsed, ParsedAnswers)
    return parsed


def positions(parsed: ParsedAnswers) -> dict[str, list[int]]:
    return {read_id: [call.pos for call in answer.calls] for read_id, answer in parsed.answers.items()}


def own_positions(read_ids: list[str]) -> dict[str, list[int]]:
    return {read_id: [call["pos"] for call in own_calls(read_id)] for read_id in read_ids}


@given(st.permutations(ASKED))
def test_the_order_does_not_matter(order: list[str]) -> None:
    parsed = parse_packed([item(read_id) for read_id in order])
    assert positions(parsed) == own_positions(ASKED)
    assert (parsed.faults, parsed.foreign) == ({}, 0)


@given(st.lists(st.sampled_from([*ASKED, *FOREIGN]), max_size=20), st.integers(1, len(ASKED)))
def test_shuffled_dropped_repeated_and_invented_ids_never_cross(given_ids: list[str], size: int) -> None:
    asked, times = ASKED[:size], Counter(given_ids)
    parsed = parse_packed([item(read_id) for read_id in given_ids], asked)
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
    parsed = parse_packed(data.draw(st.permutations([*map(item, ASKED), *junk])))
    assert positions(parsed) == own_positions(ASKED)
    assert parsed.foreign == len(junk)


@given(st.sets(st.sampled_from(ASKED)))
def test_a_malformed_item_costs_its_own_read_only(broken: set[str]) -> None:
    parsed = parse_packed([item(read_id, calls="none") if read_id in broken else item(read_id) for read_id in ASKED])
    assert positions(parsed) == own_positions([read_id for read_id in ASKED if read_id not in broken])
    assert {read_id: fault.message for read_id, fault in parsed.faults.items()} == dict.fromkeys(broken, "calls is not a list")


def test_two_answers_for_a_read_are_none_even_if_they_agree_or_one_is_broken() -> None:
    for second in (item("read0"), item("read0", calls=7), {"id": "read0"}):
        parsed = parse_packed([item("read0"), second, item("read1")], ["read0", "read1"])
        assert list(parsed.answers) == ["read1"]
        assert parsed.faults["read0"].message == "the answer has this read 2 times"


def test_each_stored_text_is_the_answer_of_its_read_alone() -> None:
    parsed = parse_packed([item(read_id) for read_id in reversed(ASKED)])
    for read_id, answer in parsed.answers.items():
        assert json.loads(answer.text) == item(read_id)
        assert reread_answer(answer.text) == answer


def test_a_leniency_is_counted_for_the_read_that_needed_it_and_a_fence_for_all() -> None:
    items = [item("a", calls=[{**CALL, "ref": "a"}]), item("b"), item("c", calls=[{**CALL, "pos": "3", "alt": "-"}])]
    plain = parse_packed(items, ["a", "b", "c"])
    assert {name: answer.leniency for name, answer in plain.answers.items()} == {"a": ("case",), "b": (), "c": ("gap_allele", "pos_text")}
    fenced = parse_answer(body(f"```json\n{json.dumps({'reads': items})}\n```"), ["a", "b", "c"], packed=True, work=False)
    assert isinstance(fenced, ParsedAnswers)
    assert all("fence" in answer.leniency for answer in fenced.answers.values())


def test_one_read_of_a_packed_run_is_answered_packed() -> None:
    assert positions(parse_packed([item("read0")], ["read0"])) == own_positions(["read0"])
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
