"""What is accepted beyond the schema's letter, and that a stored answer says the same when it is read again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.analysis.answers import ParsedAnswers
from helix_ray.analysis.read_answer import LENIENCIES, MAX_TEXT, RawCall, ReadAnswer, reread_answer
from helix_ray.providers.readings import AnswerError
from support.answer_bodies import CALL, body, parse_answer

ID = "r1"
STRICT = json.dumps({"id": ID, "calls": [CALL]})


def call(**changed: Any) -> str:
    return json.dumps({"id": ID, "calls": [{**CALL, **changed}]})


def parse(content: str, work: bool = False) -> ReadAnswer:
    parsed = parse_answer(body(content), [ID], packed=False, work=work)
    assert isinstance(parsed, ParsedAnswers), parsed
    return parsed.answers[ID]


LENIENT: dict[str, tuple[str, tuple[str, ...], tuple[Any, ...]]] = {
    "by the letter": (STRICT, (), (3, "A", "G")),
    "white space is JSON": (f"\n {STRICT}\n", (), (3, "A", "G")),
    "a fence": (f"```json\n{STRICT}\n```", ("fence",), (3, "A", "G")),
    "a fence without a language": (f"```{STRICT}```", ("fence",), (3, "A", "G")),
    "text around": (f"Here you are:\n{STRICT}\nI hope this helps.", ("fence",), (3, "A", "G")),
    "lower case": (call(ref="a", alt="gt"), ("case",), (3, "A", "GT")),
    "one letter in lower case": (call(alt="Gt"), ("case",), (3, "A", "GT")),
    "an unknown base in lower case": (call(alt="n"), ("case",), (3, "A", "N")),
    "letters that are no bases stay": (call(alt="u"), (), (3, "A", "u")),
    "a dash for an insertion": (call(ref="-"), ("gap_allele",), (3, "-", "G")),
    "a dash for a deletion": (call(alt="-"), ("gap_allele",), (3, "A", "-")),
    "nothing for a deletion": (call(alt=""), ("gap_allele",), (3, "A", "")),
    "two gaps are no variant": (call(ref="", alt="-"), (), (3, "", "-")),
    "two dashes are no gap": (call(alt="--"), (), (3, "A", "--")),
    "position as text": (call(pos="3"), ("pos_text",), (3, "A", "G")),
    "position as text with spaces": (call(pos=" 12 "), ("pos_text",), (12, "A", "G")),
    "position as negative text": (call(pos="-1"), ("pos_text",), (-1, "A", "G")),
    "everything at once": (f"~~~{call(pos='3', ref='a', alt='-')}", LENIENCIES, (3, "A", "-")),
}


@pytest.mark.parametrize(("content", "leniency", "expected"), LENIENT.values(), ids=LENIENT)
def test_what_is_accepted_is_counted(content: str, leniency: tuple[str, ...], expected: tuple[Any, ...]) -> None:
    answer = parse(content)
    assert answer.leniency == leniency
    assert answer.calls == [RawCall(*expected, 0.5)]


def test_a_leniency_is_named_once_however_often_it_is_used() -> None:
    answer = parse(json.dumps({"id": ID, "calls": [{**CALL, "pos": "3", "ref": "a"}] * 5}))
    assert answer.leniency == ("case", "pos_text")


@pytest.mark.parametrize("content", [row[0] for row in LENIENT.values()], ids=LENIENT)
def test_the_stored_text_is_json_and_gives_the_same_calls(content: str) -> None:
    answer = parse(content)
    json.loads(answer.text)
    again = reread_answer(answer.text)
    assert isinstance(again, ReadAnswer)
    assert again.calls == answer.calls
    assert again.leniency == tuple(leniency for leniency in answer.leniency if leniency != "fence")
    assert reread_answer(again.text) == again


_CALLS = st.fixed_dictionaries(
    {
        "pos": st.one_of(st.integers(-5, 200), st.integers(0, 200).map(str)),
        "ref": st.one_of(st.text("ACGTacgt-", max_size=6), st.text(max_size=4)),
        "alt": st.one_of(st.text("ACGTacgt-", max_size=6), st.text(max_size=4)),
        "confidence": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**20), 10**20)),
    }
)


@given(calls=st.lists(_CALLS, max_size=5), work=st.none() | st.text(max_size=30), ascii_only=st.booleans(), packed=st.booleans())
def test_whatever_was_answered_reads_back(calls: list[dict[str, Any]], work: str | None, ascii_only: bool, packed: bool) -> None:
    item = {**({} if work is None else {"work": work}), "id": ID, "calls": calls}
    content = json.dumps({"reads": [item]} if packed else item, ensure_ascii=ascii_only)
    parsed = parse_answer(body(content), [ID], packed=packed, work=work is not None)
    assert isinstance(parsed, ParsedAnswers)
    answer = parsed.answers[ID]
    answer.text.encode()
    assert "\0" not in answer.text
    again = reread_answer(answer.text)
    assert isinstance(again, ReadAnswer)
    assert (again.calls, again.leniency) == (answer.calls, answer.leniency)


def test_an_id_is_not_looked_at_again() -> None:
    again = reread_answer('{"id": "another", "calls": []}')
    assert isinstance(again, ReadAnswer)
    assert again.calls == []


@pytest.mark.parametrize("work", ["x" * MAX_TEXT, "\ud800" * (MAX_TEXT // 5)])
def test_of_an_answer_too_long_the_work_goes_and_the_calls_stay(work: str) -> None:
    answer = parse(json.dumps({"work": work, "id": ID, "calls": [CALL]}), work=True)
    assert len(answer.text) <= MAX_TEXT
    assert answer.calls == [RawCall(3, "A", "G", 0.5)]
    assert json.loads(answer.text) == {"id": ID, "calls": [CALL]}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "parse_error"),
        ("none", "parse_error"),
        ('{"id": "r1", "calls": [', "parse_error"),
        ("[]", "schema_error"),
        ('{"calls": []}', "schema_error"),
        ('{"reads": []}', "schema_error"),
        ('{"id": "r1", "calls": [{"pos": 3}]}', "schema_error"),
    ],
)
def test_a_stored_text_that_is_no_answer_is_none(text: str, kind: str) -> None:
    error = reread_answer(text)
    assert isinstance(error, AnswerError)
    assert error.kind == kind
