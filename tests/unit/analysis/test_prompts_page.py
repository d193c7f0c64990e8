"""docs/prompts.md shows what is really sent and accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from helix_ray.analysis.answers import ParsedAnswers
from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.prompts import PROMPTS, Ask, get_prompt, text
from helix_ray.analysis.read_answer import LENIENCIES, MAX_ALLELE, MAX_CALLS, MAX_TEXT, RawCall
from support.answer_bodies import body, parse_answer

PAGE = (Path(__file__).parents[3] / "docs/prompts.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"^##+ ", PAGE.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def blocks(title: str, language: str = "text") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```$", section(title), re.MULTILINE | re.DOTALL)


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    return [line.strip("| ").split(" | ") for line in section(title).splitlines() if line.startswith("| ")][1:]


def shown() -> Ask:
    """The page's read, as `raw` prints it."""
    opaque_id, _, ref_seq, _, seq = blocks("raw")[0].splitlines()
    return Ask(opaque_id.removeprefix("id: "), ref_seq, seq)


def test_each_template_prints_the_same_read() -> None:
    for name in PROMPTS:
        assert blocks(name) == [get_prompt(name).user_text((shown(),))]


def test_the_table_of_templates() -> None:
    assert rows("Templates") == [
        [f"`{name}`", str(it.version), it.task, f"{it.tokens_per_base:g}", f"`{it.sha256[:12]}`"]
        for name in PROMPTS
        for it in (get_prompt(name),)
    ]


def test_the_system_message() -> None:
    plain, packed, work, example = blocks("The system message")
    assert plain == get_prompt("indexed10").system
    assert packed == text.MANY_READS
    assert get_prompt("indexed10", reads_per_request=2).system.startswith(f"{packed}\n{text.INDEXED}\n")
    assert get_prompt("indexed10", work=True).system.endswith(f"\n{work}")
    assert get_prompt("indexed10", work=True, examples=2).system.endswith(f"\n\n{example}")
    lines = [set(get_prompt(name).system.splitlines()) for name in PROMPTS]
    assert {len(each - lines[0]) for each in lines[1:]} == {1}


@pytest.mark.parametrize(("number", "packed", "work"), [(0, False, False), (1, False, True), (2, True, False)])
def test_the_answers(number: int, packed: bool, work: bool) -> None:
    content = blocks("Answers", "json")[number]
    ids = re.findall(r'"id": "(\w+)"', content)
    parsed = parse_answer(body(content), ids, packed=packed, work=work)
    assert isinstance(parsed, ParsedAnswers)
    assert (list(parsed.answers), parsed.faults) == (ids, {})
    calls = [call for answer in parsed.answers.values() for call in answer.calls]
    assert {call.outcome for call in judge_calls(calls, shown().ref_seq)} == {"ok"}


def test_the_leniencies() -> None:
    def read(call: str) -> tuple[tuple[str, ...], list[Any]]:
        parsed = parse_answer(body({"id": "r", "calls": [json.loads(call.strip("`"))]}), ["r"], packed=False, work=False)
        assert isinstance(parsed, ParsedAnswers)
        return parsed.answers["r"].leniency, judge_calls(parsed.answers["r"].calls, shown().ref_seq)

    table = rows("Leniencies")
    assert {name.strip("`") for name, _, _ in table} == set(LENIENCIES)
    for name, accepted, meant in table[:-1]:
        leniency, judged = read(accepted)
        assert leniency == (name.strip("`"),)
        assert read(meant) == ((), judged)
        assert judged[0].outcome == "ok"


def test_the_outcomes_of_calls() -> None:
    table = rows("Outcomes of a call")
    assert [row[0].strip("`") for row in table] == [
        "ok", "ref_mismatch", "out_of_range", "bad_base", "ref_equals_alt", "duplicate", "overlap",
    ]  # fmt: skip
    for outcome, written, _ in table:
        calls = [found.split() for found in reversed(re.findall(r"`([^`]+)`", written))]
        judged = judge_calls([RawCall(int(pos), ref, alt, None) for pos, ref, alt in calls], shown().ref_seq)
        assert judged[-1].outcome == outcome.strip("`")
        assert all(call.outcome == "ok" for call in judged[:-1])


def test_the_bounds() -> None:
    assert f"more than {MAX_CALLS:,} calls, alleles of more than {MAX_ALLELE:,} characters, more than {MAX_TEXT:,} characters" in PAGE
