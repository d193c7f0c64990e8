"""The engine and the emulator in one process: whatever goes wrong with answers and ids, both ledgers tell the same of every read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fix_analyzer import rig
from helix_ray.analysis.prompts import PROMPTS, opaque_id
from helix_ray.analysis.read_answer import ReadAnswer, reread_answer
from helix_ray.backends.chat import ChatReply
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.records import Disposition, Read
from helix_ray.sources.synthetic import SyntheticSource
from support.scripted_llm import chat_reply

READS = 100
MODEL = "openai/gpt-oss-20b"
OF_IDS = ("shuffle_ids", "drop_id", "repeat_id", "invent_id", "wrong_id")
OF_ANSWERS = ("prose", "fenced", "cut_json", "lower_case", "pos_text", "refusal", "empty")


def emulator(rate: float) -> Chat:
    faults = dict.fromkeys((*OF_IDS, *OF_ANSWERS), rate)
    config = EmulatorConfig.model_validate({"tier": "unlimited", "latency_scale": 0.0, "faults": faults})
    return Chat(config, MODEL, lambda: 1000.0, lambda: 1_790_000_000.0)


def reads() -> list[Read]:
    block = SyntheticSource(Config.model_validate({"source": {"count": READS, "batch_size": READS}})).block(0)
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
    assert sorted(result.read.read_index for result in it.sink.results) == list(range(READS))

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
        assert [call[:3] for call in own.calls] == [tuple(call) for call in calls]
    assert sum(result.repairs for result in it.sink.results) == sum(call.kind == "repair" for call in it.sink.calls) > 0
    assert sum(bool(result.leniency) for result in it.sink.results) > 0
    assert sum(call.cost_usd for call in it.sink.calls) == sum(result.cost_usd for result in it.sink.results) == chat.ledger.bill_usd
