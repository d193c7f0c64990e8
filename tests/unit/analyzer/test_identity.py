"""No answer reaches another read, whatever a model or the emulator does to ids, and both ledgers agree on every read."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from fix_analyzer import read, rig
from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.prompts import PROMPTS, opaque_id
from helix_ray.analysis.read_answer import RawCall, ReadAnswer, reread_answer
from helix_ray.backends.chat import ChatReply
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.sources.synthetic import SyntheticSource
from support.scripted_llm import Call, answer_text, chat_reply, completion, is_packed

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
    it = await rig([coded(index) for index in range(READS)], otherwise=llm, **settings).finished()
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


EMULATED_READS = 100
MODEL = "openai/gpt-oss-20b"
OF_IDS = ("shuffle_ids", "drop_id", "repeat_id", "invent_id", "wrong_id")
OF_ANSWERS = ("prose", "fenced", "cut_json", "lower_case", "pos_text", "refusal", "empty")


def emulator(rate: float) -> Chat:
    faults = dict.fromkeys((*OF_IDS, *OF_ANSWERS), rate)
    config = EmulatorConfig.model_validate({"tier": "unlimited", "latency_scale": 0.0, "faults": faults})
    return Chat(config, MODEL, lambda: 1000.0, lambda: 1_790_000_000.0)


def reads() -> list[Read]:
    block = SyntheticSource(Config.model_validate({"source": {"count": EMULATED_READS, "batch_size": EMULATED_READS}})).block(0)
    assert block is not None
    return block.rows()


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(("reads_per_request", "work"), [(1, False), (7, True)])
async def test_every_read_has_the_calls_that_were_sent_for_it(prompt: str, reads_per_request: int, work: bool) -> None:
    chat = emulator(0.1)

    def answer(payload: dict[str, Any]) -> ChatReply:
        outcome = chat.begin("Bearer key", 0, json.dumps(payload).encode())
        reply = chat.finish(outcome, False) if isinstance(outcome, Admitted) else outcome
        return chat_reply(reply.status, {}, reply.body, 0.1)

    settings = {"prompt": prompt, "reads_per_request": reads_per_request, "work": work, "max_completion_tokens": 600}
    it = rig(reads(), otherwise=answer, batch_size=50, **settings)
    assert await it.finish() == "closed"
    assert sorted(result.read.read_index for result in it.sink.results) == list(range(EMULATED_READS))

    billed: Any = chat.ledger.reads.page(0, 10_000)["entries"]
    sent = {(entry["request_id"], entry["id"]): entry["calls"] for entry in billed}
    request_ids = {call.call_id: call.provider_request_id for call in it.sink.calls}
    for result in it.sink.results:
        calls = sent[request_ids[result.call_id or ""], opaque_id("run", result.read.read_index)]
        if result.disposition is not Disposition.STORED:
            assert result.repairs == 1 or result.error_kind == "refused"
            continue
        own = reread_answer(result.raw_answer or "")
        assert isinstance(own, ReadAnswer)
        if prompt != "context":
            assert [call[:3] for call in own.calls] == [tuple(call) for call in calls]
        judged = [judge_calls(made, result.read.ref_seq) for made in (own.calls, [RawCall(*call, None) for call in calls])]
        assert len({frozenset(call[:3] for call in each if call.outcome == "ok") for each in judged}) == 1
    assert sum(result.repairs for result in it.sink.results) == sum(call.kind == "repair" for call in it.sink.calls) > 0
    assert sum(bool(result.leniency) for result in it.sink.results) > 0
    assert sum(call.cost_usd for call in it.sink.calls) == sum(result.cost_usd for result in it.sink.results) == chat.ledger.bill_usd
