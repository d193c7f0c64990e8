from __future__ import annotations

import json
from typing import Any

import pytest

from helix_ray.analysis.answers import MAX_CALLS, AnswerError, ParsedAnswer, parse_answer
from helix_ray.analysis.completion import printable
from helix_ray.records import TokenUsage

ID = "r1"
CALL = {"pos": 3, "ref": "A", "alt": "G", "confidence": 0.5}


def body(content: Any, finish: str | None = "stop", refusal: str | None = None, **top: Any) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "model": "openai/gpt-oss-20b",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 700, "completion_tokens": 60, "prompt_tokens_details": {"cached_tokens": 128}},
            "system_fingerprint": "fp_1",
            "service_tier": "on_demand",
            "x_groq": {"id": "req_1"},
            **top,
        }
    ).encode()


def answer(*calls: Any, read_id: Any = ID) -> bytes:
    return body({"id": read_id, "calls": list(calls)})


def test_a_valid_answer() -> None:
    parsed = parse_answer(answer(CALL, {**CALL, "confidence": 1}), ID)
    assert isinstance(parsed, ParsedAnswer)
    assert [tuple(call) for call in parsed.calls] == [(3, "A", "G", 0.5), (3, "A", "G", 1.0)]
    completion = parsed.completion
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
    error = parse_answer(broken, ID)
    assert isinstance(error, AnswerError)
    assert (error.kind, error.completion) == ("broken_body", None)


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
        (body('{"id": "r1", "calls": [{"pos": 1' + "0" * 5000 + ', "ref": "A", "alt": "G", "confidence": 1}]}'), "parse_error"),
        (body([]), "schema_error"),
        (body({"id": ID}), "schema_error"),
        (body({"id": ID, "calls": [], "note": "x"}), "schema_error"),
        (body({"id": ID, "calls": {}}), "schema_error"),
        (answer(read_id="r2"), "schema_error"),
        (answer(read_id=7), "schema_error"),
        (answer("3A>G"), "schema_error"),
        (answer({**CALL, "type": "SNV"}), "schema_error"),
        (answer({"pos": 3, "ref": "A", "alt": "G"}), "schema_error"),
        (answer({**CALL, "pos": "3"}), "schema_error"),
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
    error = parse_answer(reply, ID)
    assert isinstance(error, AnswerError)
    assert error.kind == kind
    assert error.completion is not None
    assert error.completion.usage == TokenUsage(700, 128, 60)


@pytest.mark.parametrize("confidence", [95, -0.1, 1e308, float(10**300)])
def test_a_confidence_out_of_range_costs_the_confidence_not_the_call(confidence: float) -> None:
    parsed = parse_answer(answer({**CALL, "confidence": confidence}), ID)
    assert isinstance(parsed, ParsedAnswer)
    assert parsed.calls[0].confidence is None


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
    parsed = parse_answer(body({"id": ID, "calls": []}, usage=usage), ID)
    assert isinstance(parsed, ParsedAnswer)
    assert parsed.completion.usage is None


def test_cached_tokens_never_exceed_the_prompt() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}
    parsed = parse_answer(body({"id": ID, "calls": []}, usage=usage), ID)
    assert isinstance(parsed, ParsedAnswer)
    assert parsed.completion.usage == TokenUsage(10, 10, 1)


def test_text_becomes_storable() -> None:
    assert printable("ok", 10) == "ok"
    assert printable("a\0b", 20) == "a\\u0000b"
    assert printable("\ud800é", 20) == "\\ud800é"
    assert printable("abcdef", 4) == "abc…"
