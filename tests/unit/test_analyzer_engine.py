"""The analysis engine with fakes for its peers: every way in which a read ends, and every way in which the work ends."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from helix_ray.actors.analysis_engine import AnalysisEngine
from helix_ray.actors.engine_parts import make_parts
from helix_ray.backends.chat import ChatReply, TransportFailure
from helix_ray.config import Config
from helix_ray.queueing.messages import Lease, LeaseReply
from helix_ray.records import ApiCall, CallState, DesiredState, Disposition, Read, ReadBatch, ReadResult, Variant
from helix_ray.testing.manual_clock import ManualClock
from helix_ray.testing.scripted_llm import ScriptedLLM, api_error, completion, prompted_id
from helix_ray.throttle.messages import AcquireReply, Grant, Refusal, Settlement, Want

WINDOW = "ACGTACGTACGTACGTACGT"
MUTATED = "ACGTTCGTACGTACGTACGT"
TRUTH = (Variant(5, "A", "T", "SNV", "snv"),)
RIGHT = [(5, "A", "T")]

LOST_REPLY = TransportFailure("unknown", "reset", "the connection broke", 0.2)
NOT_SENT = TransportFailure("not_sent", "connect", "refused")


def read(index: int, **changed: Any) -> Read:
    plain = Read(index, f"hx{index}", "c", 0, "+", WINDOW, MUTATED, None, TRUTH, True, None, None, None)
    return plain._replace(**changed)


class FakeQueue:
    """Hands out one lease per call; closed when told so and nothing is left."""

    def __init__(self, reads: Sequence[Read], closed: bool, clock: ManualClock) -> None:
        self.clock = clock
        self.waiting = deque(reads)
        self.closed = closed
        self.asked: list[int] = []
        self.nacked: list[int] = []
        self.extended: list[list[str]] = []
        self.lost: set[str] = set()
        self.changed = asyncio.Event()
        self._count = 0

    def put(self, *reads: Read) -> None:
        self.waiting.extend(reads)
        self.changed.set()

    def close(self) -> None:
        self.closed = True
        self.changed.set()

    async def lease(self, max_reads: int) -> LeaseReply:
        self.asked.append(max_reads)
        if not self.waiting and not self.closed:
            self.changed.clear()
            events = [asyncio.ensure_future(self.changed.wait()), asyncio.ensure_future(self.clock.sleep(2.0))]
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            for event in events:
                event.cancel()
        if not self.waiting:
            return LeaseReply("closed" if self.closed else "empty", "e", None)
        rows = [self.waiting.popleft() for _ in range(min(max_reads, len(self.waiting)))]
        self._count += 1
        lease = Lease(f"lease{self._count}", self._count, 120.0, ReadBatch.from_rows(rows), [7.0] * len(rows), [1] * len(rows))
        return LeaseReply("granted", "e", lease)

    async def extend(self, lease_ids: list[str]) -> list[str]:
        self.extended.append(lease_ids)
        return [lease_id for lease_id in lease_ids if lease_id in self.lost]

    async def nack(self, lease_id: str, fence: int, read_indices: list[int]) -> None:
        assert lease_id == f"lease{fence}"
        self.nacked += read_indices


class FakeThrottle:
    """Grants everything, or nothing while held, or refuses."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.wants: list[Want] = []
        self.settlements: list[Settlement] = []
        self.withdrawn: list[str] = []
        self.stopped: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    async def acquire(self, wants: list[Want]) -> AcquireReply:
        self.wants += wants
        self.asked.set()
        await self.open.wait()
        if self.refusal is not None:
            return AcquireReply([], self.refusal)
        return AcquireReply([Grant(want.want_id, f"p-{want.want_id}", 120.0) for want in wants], None)

    async def withdraw(self, want_ids: list[str]) -> None:
        self.withdrawn += want_ids

    async def settle(self, settlements: list[Settlement]) -> None:
        self.settlements += settlements

    async def stop(self, message: str) -> None:
        self.stopped.append(message)

    def outcomes(self) -> list[str]:
        return [settlement.outcome for settlement in self.settlements]


class FakeSink:
    def __init__(self) -> None:
        self.results: list[ReadResult] = []
        self.calls: list[ApiCall] = []
        self.failures: list[Exception] = []
        self.writes = 0
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        self.writes += 1
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.results += results
        self.calls += calls

    def states(self) -> list[CallState]:
        return [call.state for call in self.calls]


@dataclass
class Rig:
    engine: AnalysisEngine
    llm: ScriptedLLM
    queue: FakeQueue
    clock: ManualClock
    throttle: FakeThrottle = field(default_factory=FakeThrottle)
    sink: FakeSink = field(default_factory=FakeSink)

    async def settle_down(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    async def finish(self) -> str:
        """Runs to the end, moving the clock on whenever everybody waits for it."""
        run = asyncio.create_task(self.engine.run())
        for _ in range(300):
            await self.settle_down()
            if run.done():
                break
            await self.clock.advance(1.0)
        return run.result()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[str]]:
        run = asyncio.create_task(self.engine.run())
        await self.settle_down()
        yield run
        if not run.done():
            self.queue.close()
            self.throttle.open.set()
            self.sink.open.set()
            self.llm.release()
            draining = asyncio.create_task(self.engine.drain(1.0))
            while not run.done():
                await self.clock.advance(1.0)
            await draining


def rig(
    reads: Sequence[Read],
    script: Sequence[Any] = (),
    otherwise: Callable[[dict[str, Any]], Any] | None = None,
    *,
    closed: bool = True,
    backend: bool = True,
    **settings: Any,
) -> Rig:
    config = Config.model_validate(
        {
            "analyzer": {"backend": "emulator" if backend else "aligner", "requests_in_flight": settings.get("requests_in_flight", 4)},
            "source": {"batch_size": settings.get("batch_size", 4)},
            "retry": {"max_attempts": settings.get("max_attempts", 3)},
            "queue": {"lease_timeout_s": 30.0},
        }
    )
    llm, clock = ScriptedLLM(script, otherwise or (lambda payload: completion(payload, RIGHT))), ManualClock()
    queue, throttle, sink = FakeQueue(reads, closed, clock), FakeThrottle(), FakeSink()
    parts = make_parts(
        config, queue, throttle, sink, llm if backend else None, clock=clock, nonce="run", rng=random.Random(1), linger_s=0.0
    )
    return Rig(AnalysisEngine(parts), llm, queue, clock, throttle, sink)


# ── how a read ends ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_valid_answer_is_stored_scored_and_paid_for_once() -> None:
    it = rig([read(3)])
    assert await it.finish() == "closed"
    (result,) = it.sink.results
    assert result.disposition is Disposition.STORED
    assert [(row.side, row.match) for row in result.variants] == [("truth", "TP"), ("call", "TP")]
    assert (result.mutation_detected, result.attempts, result.queue_ms, result.latency_ms) == (True, 1, 7.0, 100.0)
    assert result.raw_answer is not None
    assert (result.system_fingerprint, result.service_tier, result.prompt) == ("fp_scripted", "on_demand", "indexed10")
    assert result.prompt_hash
    assert result.schema_hash
    (call,) = it.sink.calls
    assert (call.state, call.status, call.read_indices, call.attempt) == (CallState.ANSWERED, 200, [3], 1)
    assert (call.prompt_tokens, call.completion_tokens, call.provider_request_id) == (700, 60, "req_scripted")
    assert call.cost_usd == result.cost_usd == Decimal("0.0000705")
    assert call.call_id == result.call_id
    assert call.cost_usd < call.worst_case_usd
    (settlement,) = it.throttle.settlements
    assert (settlement.outcome, settlement.cost_usd) == ("answered", call.cost_usd)
    assert it.throttle.wants[0].worst_case_usd == call.worst_case_usd
    assert it.engine.counters()["analysed"] == 1
    assert it.engine.counters()["tp.SNV"] == 1
    assert it.engine.counters()["latency_ms_p99"] == 100.0


async def test_an_answer_of_no_mutation_is_an_answer() -> None:
    it = rig([read(0)], [lambda payload: completion(payload, [])])
    await it.finish()
    (result,) = it.sink.results
    assert (result.disposition, result.mutation_detected) == (Disposition.STORED, False)
    assert [row.match for row in result.variants] == ["FN"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda payload: completion(payload, content="no JSON"), "parse_error"),
        (lambda payload: completion(payload, content='{"id": "other", "calls": []}'), "schema_error"),
        (lambda payload: completion(payload, content="", finish_reason="length"), "truncated"),
        (lambda payload: completion(payload, content="", finish_reason="content_filter"), "refused"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_paid_for_and_not_asked_again(answer: Any, kind: str) -> None:
    it = rig([read(0)], [answer])
    await it.finish()
    (result,) = it.sink.results
    assert (result.disposition, result.error_kind, result.attempts) == (Disposition.DEAD_LETTER, kind, 1)
    assert [row.match for row in result.variants] == ["FN"]
    assert result.error
    assert result.cost_usd > 0
    assert it.sink.states() == [CallState.ANSWERED]
    assert it.sink.calls[0].error_kind == kind
    assert it.throttle.outcomes() == ["answered"]
    assert it.engine.counters()["dead_letters"] == 1


@pytest.mark.parametrize(
    ("failure", "outcome", "state"),
    [
        (NOT_SENT, "not_sent", CallState.INTENDED),
        (LOST_REPLY, "unknown", CallState.POSSIBLY_BILLED),
        (api_error(500, "oops"), "rejected", CallState.FAILED),
        (ChatReply(502, {}, b"<html>", 0.1), "rejected", CallState.FAILED),
        (ChatReply(200, {}, b'{"choices": [', 0.1), "unknown", CallState.POSSIBLY_BILLED),
        (ChatReply(200, {"content-type": "text/html"}, b"<html>", 0.1), "unknown", CallState.POSSIBLY_BILLED),
    ],
)
async def test_an_api_failure_is_tried_again_and_ends_as_a_dead_letter(failure: Any, outcome: str, state: CallState) -> None:
    saved = rig([read(0)], [failure, failure])
    await saved.finish()
    assert saved.sink.results[0].disposition is Disposition.STORED
    assert saved.sink.results[0].attempts == 3
    assert [call.attempt for call in saved.sink.calls] == [1, 2, 3]
    lost = rig([read(0)], [failure] * 3)
    await lost.finish()
    (result,) = lost.sink.results
    assert (result.disposition, result.error_kind, result.attempts) == (Disposition.DEAD_LETTER, "api_failed", 3)
    assert lost.sink.states() == [state] * 3
    assert lost.throttle.outcomes() == [outcome] * 3
    assert lost.engine.counters()["failures"] == 3


async def test_a_request_of_unknown_outcome_counts_at_its_worst_case() -> None:
    it = rig([read(0)], [LOST_REPLY])
    await it.finish()
    lost, answered = it.sink.calls
    assert lost.cost_usd == lost.worst_case_usd > answered.cost_usd
    assert it.throttle.settlements[0].cost_usd == lost.cost_usd


async def test_a_request_that_will_never_be_served_is_a_dead_letter_at_once() -> None:
    too_large = api_error(
        413, "Request too large on tokens per minute (TPM): Limit 8000, Requested 10092, please reduce", "rate_limit_exceeded"
    )
    it = rig([read(0), read(1)], [too_large, api_error(422, "no")])
    await it.finish()
    assert [result.error_kind for result in it.sink.results] == ["api_failed", "api_failed"]
    assert "HTTP 413" in (it.sink.results[0].error or "")
    assert it.throttle.outcomes() == ["rejected", "rejected"]
    limited = it.throttle.settlements[0].limited
    assert limited is not None
    assert limited.requested == 10092
    assert len(it.llm.payloads) == 2


async def test_a_429_costs_a_read_nothing() -> None:
    busy = api_error(429, "on tokens per minute (TPM): Limit 8000, Used 7739, Requested 1108. Please try again in 6.3525s.")
    it = rig([read(0)], [busy] * 20, max_attempts=1)
    await it.finish()
    (result,) = it.sink.results
    assert (result.disposition, result.attempts) == (Disposition.STORED, 1)
    assert [call.status for call in it.sink.calls] == [429] * 20 + [200]
    assert {call.attempt for call in it.sink.calls} == {1}
    first = it.throttle.settlements[0]
    assert first.outcome == "rejected"
    assert first.limited is not None
    assert (first.limited.kind, first.limited.retry_after_s) == ("TPM", 6.3525)
    assert it.engine.counters()["failures"] == 0


@pytest.mark.parametrize("disposition", [Disposition.UNPLACED, Disposition.FILTERED, Disposition.MALFORMED])
async def test_a_read_whose_ending_is_known_passes_without_a_request(disposition: Disposition) -> None:
    it = rig([read(0, disposition=disposition, reason="why", truth=None)])
    await it.finish()
    (result,) = it.sink.results
    assert (result.disposition, result.error_kind, result.variants, result.mutation_detected) == (disposition, "why", [], None)
    assert it.llm.payloads == []
    assert it.throttle.wants == []


async def test_without_truth_the_baseline_stands_beside_the_calls() -> None:
    it = rig([read(0, truth=None)])
    await it.finish()
    (result,) = it.sink.results
    assert [(row.side, row.pos, row.match) for row in result.variants] == [("call", 5, None), ("baseline", 5, None)]


async def test_the_prompt_carries_an_opaque_id_only() -> None:
    it = rig([read(0, read_id="patient-17")])
    await it.finish()
    assert "patient" not in str(it.llm.payloads)
    assert len(prompted_id(it.llm.payloads[0])) == 16


async def test_the_aligner_answers_without_asking_anyone() -> None:
    it = rig([read(index) for index in range(30)] + [read(30, truth=None)], backend=False)
    await it.finish()
    assert len(it.sink.results) == 31
    assert {result.disposition for result in it.sink.results} == {Disposition.STORED}
    assert [(row.side, row.match) for row in it.sink.results[0].variants] == [("truth", "TP"), ("call", "TP")]
    assert [row.side for row in it.sink.results[-1].variants] == ["call", "baseline"]
    assert it.sink.results[0].model == "aligner"
    assert (it.throttle.wants, it.sink.calls) == ([], [])
    assert it.engine.counters()["tp.SNV"] == 30


# ── how much is held and in flight ───────────────────────────────────────────────────────────────────────────────────────


async def test_leases_reach_into_free_slots_plus_one_batch() -> None:
    it = rig([read(index) for index in range(40)], requests_in_flight=4, batch_size=6)
    it.llm.hold()
    async with it.running():
        assert it.llm.in_flight == 4
        assert it.engine.counters()["held"] == 10
        it.llm.release()
        await it.settle_down()
    assert it.llm.max_in_flight == 4
    assert max(it.queue.asked) == 10
    assert sorted(result.read.read_index for result in it.sink.results) == list(range(40))


async def test_requests_in_flight_can_be_raised_and_lowered_live() -> None:
    it = rig([read(index) for index in range(100)], requests_in_flight=2, batch_size=8)
    it.llm.hold()
    async with it.running():
        assert it.llm.in_flight == 2
        it.engine.resize(6)
        await it.settle_down()
        assert it.llm.in_flight == 6
        it.engine.resize(1)
        await it.settle_down()
        assert it.llm.in_flight == 6  # what is out is left to end
        it.llm.release()
        it.llm.max_in_flight = 0
        it.llm.hold()
        await it.settle_down()
        assert it.llm.in_flight == 1
        assert it.llm.max_in_flight <= 5  # while the six came back


async def test_nothing_is_leased_while_the_sink_falls_behind() -> None:
    it = rig([read(index) for index in range(3000)], backend=False, batch_size=50)
    it.sink.open.clear()
    async with it.running():
        unsaved = it.engine.counters()["unsaved"]
        assert 1000 <= unsaved <= 1000 + 4 + 50
        assert len(it.queue.waiting) == 3000 - unsaved


async def test_wants_and_settlements_travel_together() -> None:
    it = rig([read(index) for index in range(8)], requests_in_flight=8, batch_size=8)
    calls: list[int] = []
    acquire = it.throttle.acquire

    async def counted(wants: list[Want]) -> AcquireReply:
        calls.append(len(wants))
        return await acquire(wants)

    it.throttle.acquire = counted  # type: ignore[method-assign]
    await it.finish()
    assert calls == [8]


# ── results on their way ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_result_is_kept_until_the_sink_took_it() -> None:
    it = rig([read(0)])
    it.sink.failures = [ConnectionError("gone"), ConnectionError("gone")]
    await it.finish()
    assert it.sink.writes == 3
    assert len(it.sink.results) == 1
    assert len(it.llm.payloads) == 1


async def test_leases_are_kept_alive_until_the_commit() -> None:
    it = rig([read(0)], closed=False)
    it.sink.open.clear()
    async with it.running():
        assert it.engine.counters()["unsaved"] == 1
        await it.clock.advance(25.0)
        assert it.queue.extended == [["lease1"], ["lease1"]]
        it.sink.open.set()
        await it.settle_down()
        await it.clock.advance(25.0)
        assert it.queue.extended == [["lease1"], ["lease1"]]


async def test_a_lost_lease_costs_what_was_not_sent_and_no_paid_answer() -> None:
    it = rig([read(index) for index in range(3)], requests_in_flight=1, batch_size=3, closed=False)
    it.llm.hold()
    async with it.running():
        it.queue.lost = {"lease1"}
        await it.clock.advance(10.0)
        it.llm.release()
        await it.settle_down()
        assert [result.read.read_index for result in it.sink.results] == [0]
        assert it.engine.counters()["held"] == 0
    assert it.queue.nacked == []


async def test_a_lease_lost_while_waiting_for_a_permit_sends_nothing() -> None:
    it = rig([read(0)], closed=False)
    it.throttle.open.clear()
    async with it.running():
        it.queue.lost = {"lease1"}
        await it.clock.advance(10.0)
        it.throttle.open.set()
        await it.settle_down()
        assert it.llm.payloads == []
        assert it.throttle.outcomes() == ["not_sent"]


async def test_a_read_that_comes_again_while_it_is_worked_on_is_not_asked_twice() -> None:
    it = rig([read(0)], closed=False)
    it.llm.hold()
    async with it.running():
        it.queue.lost = {"lease1"}
        await it.clock.advance(10.0)
        it.queue.put(read(0))
        await it.settle_down()
        it.llm.release()
        await it.settle_down()
        assert len(it.llm.payloads) == 1
        assert len(it.sink.results) == 1


# ── how the work ends ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_out_of_budget_hands_everything_back_and_says_so() -> None:
    it = rig([read(index) for index in range(8)], closed=False)
    it.throttle.refusal = Refusal("budget", "0.99 of 1.00 USD are spent or reserved")
    assert await it.finish() == "budget"
    assert sorted(it.queue.nacked) == list(range(8))
    assert it.engine.text() == {"limited": "budget"}
    assert (it.llm.payloads, it.sink.results, it.throttle.stopped) == ([], [], [])
    assert it.engine.counters()["held"] == 0


@pytest.mark.parametrize(
    "refusal",
    [
        api_error(401, "Invalid API Key", "invalid_api_key"),
        api_error(403, "no"),
        api_error(404, "no such model", "model_not_found"),
        api_error(400, "spend limit", "blocked_api_access"),
        api_error(400, "gone", "model_decommissioned"),
    ],
)
async def test_a_refusal_for_good_stops_everyone(refusal: ChatReply) -> None:
    it = rig([read(index) for index in range(8)], [refusal], closed=False, requests_in_flight=1)
    assert await it.finish() == "refused"
    assert len(it.throttle.stopped) == 1
    assert f"HTTP {refusal.status}" in it.engine.text()["refused"]
    assert sorted([*it.queue.nacked, *(waiting.read_index for waiting in it.queue.waiting)]) == list(range(8))
    assert it.sink.states()[0] is CallState.FAILED
    assert it.sink.results == []


async def test_what_another_analyzer_was_refused_stops_this_one() -> None:
    it = rig([read(0)], closed=False)
    it.throttle.refusal = Refusal("refused", "HTTP 401: Invalid API Key")
    assert await it.finish() == "refused"
    assert it.queue.nacked == [0]


async def test_pause_lets_requests_in_flight_end_and_starts_nothing() -> None:
    it = rig([read(index) for index in range(20)], requests_in_flight=2, batch_size=4)
    it.llm.hold()
    async with it.running() as run:
        it.engine.adopt(DesiredState(1, paused=True))
        it.llm.release()
        await it.settle_down()
        assert len(it.sink.results) == 2
        asked = len(it.queue.asked)
        await it.settle_down()
        assert (len(it.llm.payloads), len(it.queue.asked)) == (2, asked)
        it.engine.adopt(DesiredState(2, paused=False))
        await it.settle_down()
        assert run.done()
        assert run.result() == "closed"
    assert len(it.sink.results) == 20


async def test_pause_gives_up_the_places_in_the_throttles_line() -> None:
    it = rig([read(0)], closed=False)
    it.throttle.open.clear()
    async with it.running():
        it.engine.adopt(DesiredState(1, paused=True))
        await it.settle_down()
        it.throttle.open.set()
        await it.settle_down()
        assert it.throttle.withdrawn == [it.throttle.wants[0].want_id]
        assert it.throttle.outcomes() == ["not_sent"]  # the grant crossed the withdrawal
        assert it.llm.payloads == []
        it.engine.adopt(DesiredState(2))
        await it.settle_down()
        assert len(it.sink.results) == 1


async def test_ending_leases_no_more_and_finishes_what_is_held() -> None:
    it = rig([read(index) for index in range(20)], requests_in_flight=2, batch_size=4, closed=False)
    it.llm.hold()
    async with it.running() as run:
        it.engine.adopt(DesiredState(1, ending="drain"))
        it.llm.release()
        await it.settle_down()
        assert run.result() == "ending"
    assert len(it.sink.results) + len(it.queue.waiting) == 20
    assert it.queue.nacked == []


async def test_a_drain_ends_requests_hands_back_the_rest_and_waits_for_commits() -> None:
    it = rig([read(index) for index in range(20)], requests_in_flight=2, batch_size=4, closed=False)
    it.llm.hold()
    async with it.running() as run:
        held = int(it.engine.counters()["held"])
        draining = asyncio.create_task(it.engine.drain(20.0))
        await it.settle_down()
        assert not draining.done()
        assert len(it.queue.nacked) == held - 2
        it.llm.release()
        it.queue.close()
        await it.settle_down()
        reply = await draining
        assert (reply.returned, reply.unsaved) == (held - 2, 0)
        assert await run == "drained"
    assert len(it.sink.results) == 2
    again = await it.engine.drain(20.0)
    assert again.unsaved == 0


async def test_a_drain_cuts_off_what_takes_too_long_and_keeps_the_books() -> None:
    it = rig([read(0), read(1)], requests_in_flight=2)
    it.llm.hold()
    async with it.running() as run:
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        await it.clock.advance(5.0)
        await it.settle_down()
        reply = await draining
        assert reply.returned == 2
        assert await run == "drained"
    assert sorted(it.queue.nacked) == [0, 1]
    assert it.sink.states() == [CallState.POSSIBLY_BILLED] * 2
    assert it.sink.calls[0].cost_usd == it.sink.calls[0].worst_case_usd
    assert it.throttle.outcomes() == ["unknown"] * 2
    assert it.sink.results == []


async def test_a_drain_withdraws_wants_and_wakes_resting_reads() -> None:
    it = rig([read(0)], [api_error(503, "over capacity", headers={"retry-after": "40"})], closed=False)
    async with it.running() as run:
        assert it.engine.counters()["held"] == 1
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        it.queue.close()
        await it.settle_down()
        assert (await draining).returned == 1
        assert await run == "drained"
    assert it.queue.nacked == [0]


async def test_a_drain_without_its_sink_says_what_is_not_saved() -> None:
    it = rig([read(0)])
    it.sink.open.clear()
    async with it.running():
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        await it.clock.advance(20.0)
        assert (await draining).unsaved == 1


async def test_a_drain_before_the_run_leaves_nothing_to_run() -> None:
    it = rig([read(0)])
    assert (await it.engine.drain(1.0)).returned == 0
    assert await it.finish() == "drained"
    assert (it.queue.asked, it.sink.results) == ([], [])


async def test_reads_that_arrive_after_the_drain_began_go_straight_back() -> None:
    it = rig([], closed=False)
    async with it.running():
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        it.queue.put(read(0))
        await it.settle_down()
        await draining
    assert it.queue.nacked == [0]
    assert it.llm.payloads == []


async def test_a_defect_is_not_swallowed() -> None:
    it = rig([read(0)])

    async def broken(results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        raise KeyError("a defect")

    it.sink.write = broken  # type: ignore[method-assign]
    with pytest.raises(BaseExceptionGroup):
        await it.finish()
