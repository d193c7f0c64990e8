"""A completion for one read: what became of it."""

from __future__ import annotations

from typing import Any

import pytest

from helix_ray.analysis.answers import ParsedAnswers
from helix_ray.analysis.read_answer import MAX_CALLS, MAX_TEXT, ReadAnswer
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
