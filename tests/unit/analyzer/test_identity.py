"""Nothing crosses from one read to another, whatever the model does to the ids of its packed answers."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from fix_analyzer import read, rig
from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.prompts import opaque_id
from helix_ray.analysis.read_answer import RawCall, ReadAnswer, reread_answer
from helix_ray.backends.chat import ChatReply
from helix_ray.records import Disposition, Read, ReadResult
from support.scripted_llm import Call, answer_text, completion, is_packed

READS = 10_000
PER_REQUEST = 8
DAMAGED = 0.2
WINDOW = "ACGTTGCAAC"
ANCHOR = 5
CODE = 7  # bases, 4^7 > READS

Answers = list[tuple[str, list[Call]]]


def coded(index: int) -> Read:
    """A read whose one variant, an insertion, spells its index."""
    code = "".join("ACGT"[index >> 2 * place & 3] for place in range(CODE))
    return read(index, ref_seq=WINDOW, seq=WINDOW[:ANCHOR] + code + WINDOW[ANCHOR:], truth=None)


def call_of(seq: str) -> Call:
    anchor = WINDOW[ANCHOR - 1]
    return ANCHOR, anchor, anchor + seq[ANCHOR : ANCHOR + CODE]


class Confused:
    """Calls every read rightly, then damages the ids of a share of the packed answers, and of a few that are about one read."""

    def __init__(self) -> None:
        self._rng = random.Random(4)
        self.damages: Counter[str] = Counter()
        self.packed = 0

    def __call__(self, payload: dict[str, Any]) -> ChatReply:
        answers: Answers = []
        for part in payload["messages"][-1]["content"].split("\n\n"):
            lines = part.splitlines()
            answers.append((lines[0].removeprefix("id: "), [call_of(lines[-1])]))
        several = len(answers) > 1
        self.packed += several
        if self._rng.random() < DAMAGED:
            damage = self._rng.choice(("shuffle", "drop", "repeat", "invent", "rename")) if several else "rename"
            answers = self._damaged(answers, damage)
        return completion(payload, content=answer_text(answers, is_packed(payload)))

    def _damaged(self, answers: Answers, damage: str) -> Answers:
        self.damages[f"{damage} {'packed' if len(answers) > 1 else 'alone'}"] += 1
        rng = self._rng
        one, other = rng.sample(range(len(answers)), 2) if len(answers) > 1 else (0, 0)
        name, calls = answers[one]
        if damage == "shuffle":
            return rng.sample(answers, len(answers))
        if damage == "drop":
            return answers[:one] + answers[one + 1 :]
        if damage == "repeat":  # once more, with a neighbour's calls
            return [*answers[:other], (name, answers[other][1]), *answers[other:]]
        unknown = f"{rng.getrandbits(64):016x}"
        if damage == "invent":
            return [*answers[:other], (unknown, calls), *answers[other:]]
        return [*answers[:one], (answers[other][0] if one != other else unknown, calls), *answers[one + 1 :]]


def check(result: ReadResult) -> None:
    """A stored read has its own call and no other, under its own id."""
    own = call_of(result.read.seq)
    (expected,) = judge_calls([RawCall(*own, 0.9)], WINDOW)
    (called,) = (row for row in result.variants if row.side == "call")
    assert called[1:4] == expected[:3]
    assert result.raw_answer is not None
    assert opaque_id("run", result.read.read_index) in result.raw_answer
    answer = reread_answer(result.raw_answer)
    assert isinstance(answer, ReadAnswer)
    assert [call[:3] for call in answer.calls] == [own]


async def test_no_read_gets_another_reads_calls() -> None:
    llm = Confused()
    settings = {"prompt": "raw", "reads_per_request": PER_REQUEST, "requests_in_flight": 64, "batch_size": 200}
    it = rig([coded(index) for index in range(READS)], otherwise=llm, **settings)
    await it.finish()
    assert sorted(result.read.read_index for result in it.sink.results) == list(range(READS))
    stored = [result for result in it.sink.results if result.disposition is Disposition.STORED]
    for result in stored:
        check(result)
    lost = [result for result in it.sink.results if result.disposition is not Disposition.STORED]
    assert {(result.error_kind, result.repairs) for result in lost} == {("schema_error", 1)}
    assert not [row for result in lost for row in result.variants if row.side == "call"]
    assert sum(result.cost_usd for result in it.sink.results) == sum(call.cost_usd for call in it.sink.calls)
    damaged = sum(count for damage, count in llm.damages.items() if damage.endswith("packed"))
    assert 0.17 < damaged / llm.packed < 0.23
    assert min(llm.damages.values()) > 20
    repaired = sum(result.repairs for result in it.sink.results)
    assert repaired == it.engine.report().repairs == sum(call.kind == "repair" for call in it.sink.calls) > len(lost) > 0
