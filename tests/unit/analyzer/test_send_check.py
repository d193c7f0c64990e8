"""What an analyzer does when the send check keeps a request back, and what it keeps of an answer."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from fix_analyzer import RIGHT, read, rig
from helix_ray.analysis.prompts import opaque_id
from helix_ray.backends.chat import ChatReply
from helix_ray.records import ApiCall, CallState, Disposition, Intent, Receipt, Refused, StoredAnswer
from helix_ray.storage.spool import Spool, decoded
from support.scripted_llm import answer_text, api_error, completion

SENT = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOAD: dict[str, Any] = {"model": "openai/gpt-oss-20b"}
UNUSABLE = "no JSON"


def stored(number: int, indices: list[int], content: str | None = None, kind: str = "analysis", packed: bool = False) -> StoredAnswer:
    """An answer to a request of a holder that died; ``content`` None: the right calls for each read."""
    call_id = str(uuid.UUID(int=number))
    text = answer_text([(opaque_id("run", index), RIGHT) for index in indices], packed) if content is None else content
    call = ApiCall(
        call_id, kind, 1, indices, CallState.INTENDED, None, "openai/gpt-oss-20b", worst_case_usd=Decimal("0.5"), created_at=SENT
    )
    return StoredAnswer(call, Receipt(call_id, indices, SENT + timedelta(seconds=2), 200, completion(PAYLOAD, content=text).body))


def kept_back(*answers: tuple[int, StoredAnswer], done: tuple[int, ...] = (), unsaved: tuple[int, ...] = ()) -> Callable[[Intent], Refused]:
    return lambda intent: Refused(intent.call.call_id, [*done], [*unsaved], [*answers])


async def test_an_answer_of_a_dead_holder_is_scored_as_if_it_had_just_come_and_its_request_gets_its_end() -> None:
    live = await rig([read(0)]).finished()
    it = rig([read(0)])
    it.sink.refusals = [kept_back((0, stored(7, [0])))]
    await it.finish()
    assert it.llm.payloads == []
    assert it.throttle.outcomes() == ["not_sent"]
    (found,), (as_live,) = it.sink.results, live.sink.results
    theirs = {"call_id": str(uuid.UUID(int=7)), "latency_ms": 2000.0, "finished_at": as_live.finished_at}
    assert replace(found, finished_at=as_live.finished_at) == replace(as_live, **theirs)
    ends = {call.call_id: call for call in it.sink.calls}
    end = ends.pop(str(uuid.UUID(int=7)))
    assert (end.state, end.status, end.prompt_tokens, end.cost_usd) == (CallState.ANSWERED, 200, 700, live.sink.calls[0].cost_usd)
    assert ends == {}, "what was kept back never was on record"


async def test_only_what_is_left_of_a_packed_request_is_sent() -> None:
    it = rig([read(index) for index in range(4)], reads_per_request=4, requests_in_flight=1)
    it.sink.refusals = [kept_back((1, stored(7, [9, 1], packed=True)), done=(0,), unsaved=(2,)), lambda intent: None, kept_back(done=(2,))]
    await it.finish()
    assert [call.read_indices for call in it.sink.intended] == [[0, 1, 2, 3], [3], [2]]
    assert len(it.llm.payloads) == 1
    assert sorted(result.read.read_index for result in it.sink.results) == [1, 3]
    (found,) = (result for result in it.sink.results if result.read.read_index == 1)
    (end,) = (call for call in it.sink.calls if call.read_indices == [9, 1])
    assert found.cost_usd == end.cost_usd / 2, "its share of a request about two reads"
    assert (it.queue.nacked, it.engine.report().held, it.engine.report().unsaved) == ([], 0, 0)


async def test_an_unusable_answer_is_judged_again_and_named_by_its_repair() -> None:
    it = rig([read(0)])
    it.sink.refusals = [kept_back((0, stored(7, [0], UNUSABLE)))]
    await it.finish()
    assert [(intent.call.kind, intent.unusable) for intent in it.sink.intents] == [
        ("analysis", ()),
        ("repair", ((str(uuid.UUID(int=7)), 0),)),
    ]
    assert [(result.disposition, result.repairs) for result in it.sink.results] == [(Disposition.STORED, 1)]


async def test_two_unusable_answers_to_first_requests_take_one_repair() -> None:
    """Two holders asked about the read before the first answer was on record, and both died."""
    it = rig([read(0)])
    it.sink.refusals = [kept_back((0, stored(7, [0], UNUSABLE)), (0, stored(8, [0], UNUSABLE)))]
    await it.finish()
    assert [intent.call.kind for intent in it.sink.intents] == ["analysis", "repair"]
    assert [result.disposition for result in it.sink.results] == [Disposition.STORED]


async def test_an_unusable_repair_of_a_dead_holder_was_the_last_chance() -> None:
    it = rig([read(0)])
    it.sink.refusals = [kept_back((0, stored(7, [0], UNUSABLE)), (0, stored(8, [0], UNUSABLE, kind="repair")))]
    await it.finish()
    assert it.llm.payloads == []
    assert [(result.disposition, result.call_id) for result in it.sink.results] == [(Disposition.DEAD_LETTER, str(uuid.UUID(int=8)))]


async def test_a_reply_that_was_no_completion_is_asked_for_again() -> None:
    it = rig([read(0)])
    call, receipt = stored(7, [0])
    it.sink.refusals = [kept_back((0, StoredAnswer(call, receipt._replace(body=b"<html>"))))]
    await it.finish()
    assert it.sink.intents[1].unusable == ((call.call_id, 0),)
    assert {(end.state, end.cost_usd) for end in it.sink.calls if end.call_id == call.call_id} == {
        (CallState.POSSIBLY_BILLED, call.worst_case_usd)
    }


async def test_an_answer_is_on_disk_before_anything_in_it_is_read_and_until_it_is_on_record(tmp_path: Path) -> None:
    path, seen = tmp_path / "spool", []

    def dialect(status: int, headers: object, body: bytes) -> Any:
        seen.append(decoded(path.read_bytes())[0])
        return completion(PAYLOAD, content=UNUSABLE).reading

    it = rig([read(0)], [ChatReply(200, {}, b"as it came", 0.1, dialect)], spool=Spool(path))
    async with it.running():
        it.sink.recording.clear()
        it.sink.open.clear()
        await it.settle_down()
    assert [[(each.read_indices, each.status, each.body) for each in receipts] for receipts in seen] == [[([0], 200, b"as it came")]]
    assert path.stat().st_size == 0
    assert it.sink.receipts[0] == seen[0][0]


async def test_an_error_is_no_answer() -> None:
    it = await rig([read(0)], [api_error(500, "oops"), api_error(429, "slow down")]).finished()
    assert [receipt.status for receipt in it.sink.receipts] == [200]
