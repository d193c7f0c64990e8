"""The answers inside a completion, each attributed to the read whose id it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helix_ray.analysis.read_answer import ReadAnswer, read_item
from helix_ray.providers.outside_text import Found, find_object
from helix_ray.providers.readings import AnswerError, Completion


@dataclass(frozen=True, slots=True)
class ParsedAnswers:
    """The keys of ``answers`` and ``faults`` together are exactly the requested ids, each once."""

    answers: dict[str, ReadAnswer]
    faults: dict[str, AnswerError]  # left out, given twice, or against the schema
    foreign: int  # answers for ids that were not requested


def parse_answer(completion: Completion, asked: Sequence[str], *, packed: bool, work: bool) -> ParsedAnswers | AnswerError:
    """The answers in the completion of a request for the reads ``asked`` (opaque ids), or why nothing in it can be used.

    ``packed`` and ``work`` are the template's: which schema the request named.
    """
    if completion.refusal:
        return AnswerError("refused", f"the model refused: {completion.refusal}")
    if completion.finish_reason == "length":
        return AnswerError("truncated", "the answer was cut off; raise analyzer.max_completion_tokens")
    if completion.finish_reason not in ("stop", None):
        return AnswerError("refused", f"the model stopped with '{completion.finish_reason}'")
    try:
        found = find_object(completion.content)
    except ValueError as error:
        return AnswerError("parse_error", f"the answer is not JSON: {str(error)[:200]}")
    return _packed(found, asked, work) if packed else _single(found, asked, work)


def _single(found: Found, asked: Sequence[str], work: bool) -> ParsedAnswers | AnswerError:
    (read_id,) = asked
    answer = read_item(found.value, work=work, fenced=found.fenced, text=found.text)
    if isinstance(answer, str):
        return AnswerError("schema_error", answer)
    if found.value["id"] != read_id:
        return ParsedAnswers({}, {read_id: AnswerError("schema_error", "the answer carries another read's id")}, 1)
    return ParsedAnswers({read_id: answer}, {}, 0)


def _packed(found: Found, asked: Sequence[str], work: bool) -> ParsedAnswers | AnswerError:
    data = found.value
    if not isinstance(data, dict) or data.keys() != {"reads"} or not isinstance(data["reads"], list):
        return AnswerError("schema_error", "the answer is not an object with exactly a list of reads")
    given: dict[str, list[Any]] = {read_id: [] for read_id in asked}
    foreign = 0
    for item in data["reads"]:
        name = item.get("id") if isinstance(item, dict) else None
        if isinstance(name, str) and name in given:
            given[name].append(item)
        else:
            foreign += 1
    answers: dict[str, ReadAnswer] = {}
    faults: dict[str, AnswerError] = {}
    for read_id, items in given.items():
        answer = _only(items, work, found.fenced)
        if isinstance(answer, str):
            faults[read_id] = AnswerError("schema_error", answer)
        else:
            answers[read_id] = answer
    return ParsedAnswers(answers, faults, foreign)


def _only(items: list[Any], work: bool, fenced: bool) -> ReadAnswer | str:
    """The one answer for a read. Two are rejected both: one of them may be another read's."""
    if not items:
        return "the answer leaves this read out"
    if len(items) > 1:
        return f"the answer has this read {len(items)} times"
    return read_item(items[0], work=work, fenced=fenced)
