"""The sink without Ray and without a database: batching, backpressure, outages, acks, intents and authorised money."""

import asyncio
import uuid
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from helix_ray.actors.prometheus import numbers_of
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError, DriverGoneError, InvariantError, RunBusyError
from helix_ray.metrics.reports import nearest_rank
from helix_ray.records import ApiCall, CallState, Disposition, ReadResult, Receipt
from helix_ray.sink.buffer import Entry, SinkBuffer
from helix_ray.storage.spool import encoded
from support.list_source import sample_read
from support.manual_clock import turns
from support.memory_ledger import MemoryLedger
from support.sink_bench import RUN_ID, WORST, bases_and_alleles, bench, results


async def test_a_full_batch_is_committed_at_once() -> None:
    async with bench() as b:
        first, second = b.write(0, 1), b.write(2, 3)
        assert (await first, await second) == (([0, 1],), ([2, 3],))
        assert b.ledger.batches == [[0, 1, 2, 3]]
        await b.engine.flush()
        assert sorted(b.acked) == [0, 1, 2, 3] == b.shown


async def test_an_old_batch_is_committed_though_it_is_small() -> None:
    async with bench(flush_s=1.0) as b:
        task = b.write(0)
        await turns()
        await b.clock.advance(0.9)
        assert not task.done()
        await b.clock.advance(0.2)
        assert await task == ([0],)


async def test_flush_does_not_wait_and_returns_after_the_ack() -> None:
    async with bench(flush_s=50.0) as b:
        task = b.write(0)
        await turns()
        await b.engine.flush()
        assert task.done()
        assert b.acked == [0]
        await b.engine.flush()


async def test_a_write_returns_only_after_commit() -> None:
    async with bench() as b:
        b.ledger.gate.clear()
        task = b.write(0, 1, 2, 3)
        await b.ledger.writing.wait()
        await turns()
        assert not task.done()
        assert b.acked == []
        b.ledger.gate.set()
        await task


async def test_writes_wait_while_the_buffer_is_full_and_get_in_in_order() -> None:
    async with bench(batch_size=2) as b:  # room for eight reads
        b.ledger.gate.clear()
        tasks = [b.write(2 * index, 2 * index + 1) for index in range(10)]
        await b.ledger.writing.wait()
        await turns()
        assert b.engine.stats().buffered == 8
        late = b.write(100)
        await turns()
        assert b.engine.stats().buffered == 8, "a small write does not overtake"
        b.ledger.gate.set()
        await asyncio.gather(*tasks)
        await b.engine.flush()
        await late
        assert b.ledger.batches == [[2 * index, 2 * index + 1] for index in range(10)] + [[100]]
        assert b.engine.stats().buffered == 0


async def test_a_write_larger_than_the_buffer_gets_in_when_it_is_empty() -> None:
    async with bench(batch_size=2) as b:
        assert await b.write(*range(50)) == (list(range(50)),)


async def test_a_cancelled_writer_leaves_no_hole_in_the_line() -> None:
    async with bench(batch_size=1) as b:
        b.ledger.gate.clear()
        held = [b.write(index) for index in range(4)]
        await b.ledger.writing.wait()
        waiting = [b.write(10), b.write(11)]
        await turns()
        waiting[0].cancel()
        await turns()
        b.ledger.gate.set()
        await asyncio.gather(*held, waiting[1])
        await b.engine.flush()
        assert b.engine.stats().buffered == 0
        assert [11] in b.ledger.batches
        assert [10] not in b.ledger.batches


async def test_calls_without_results_are_written() -> None:
    async with bench() as b:
        call = ApiCall(str(uuid.uuid4()), "analysis", 1, [1], CallState.FAILED, 429, "m")
        task = asyncio.create_task(b.engine.write([], [call]))
        await turns()
        await b.engine.flush()
        assert await task == ([],)
        assert (await b.ledger.counts(RUN_ID)).http_429 == 1
        assert b.engine.stats().committed_calls == 1


@pytest.mark.parametrize("error", [DatabaseLostError("gone"), DatabaseUnavailableError("refused")])
@pytest.mark.parametrize("after_commit", [False, True])
async def test_an_outage_loses_and_doubles_nothing(error: Exception, after_commit: bool) -> None:
    async with bench() as b:
        b.ledger.failures = [error, error, error]
        b.ledger.fail_after_commit = after_commit
        task = b.write(0, 1, 2, 3)
        while not task.done():
            await turns()
            await b.clock.advance(1.0)
        stats = b.engine.stats()
        assert (stats.retries, stats.last_error, stats.fatal_error, stats.outage_s) == (3, str(error), None, 0.0)
        assert [*await b.ledger.done_ranges(RUN_ID)] == [(0, 4)]
        assert stats.suppressed == 0
        assert (stats.committed_reads, stats.replayed) == (4, 4 if after_commit else 0)
        await b.engine.flush()
        assert sorted(b.acked) == [0, 1, 2, 3]


async def test_a_database_that_stays_away_is_given_up_aloud_and_for_good() -> None:
    async with bench(outage_s=10.0) as b:
        b.ledger.failures = [DatabaseLostError("gone")] * 1000
        tasks = [b.write(*range(4 * index, 4 * index + 4)) for index in range(8)]  # more than the buffer holds
        while not all(task.done() for task in tasks):
            await turns()
            await b.clock.advance(1.0)
        for task in tasks:
            with pytest.raises(DatabaseLostError, match="did not come back within 10 s: gone"):
                await task
        assert b.acked == []
        assert "did not come back" in (b.engine.stats().fatal_error or "")
        with pytest.raises(DatabaseLostError):
            await b.write(99)
        with pytest.raises(DatabaseLostError):
            await b.engine.flush()
        b.engine.check()


async def test_a_defect_ends_the_sink_aloud() -> None:
    async with bench() as b:
        b.ledger.failures = [InvariantError("a call cannot be stored")]
        with pytest.raises(InvariantError):
            await b.write(0, 1, 2, 3)
        assert b.engine.stats().fatal_error == "a call cannot be stored"


async def test_an_error_of_no_kind_of_ours_is_seen_by_ping() -> None:
    async with bench() as b:
        b.ledger.failures = [ZeroDivisionError("a defect")]
        with pytest.raises(DatabaseLostError, match="ZeroDivisionError"):
            await b.write(0, 1, 2, 3)
        await turns()
        with pytest.raises(ZeroDivisionError):
            b.engine.check()


async def test_an_answer_that_came_second_is_counted_and_acked() -> None:
    async with bench(batch_size=1) as b:
        await b.write(5)
        await b.write(5)
        await b.engine.flush()
        stats = b.engine.stats()
        assert (stats.committed_reads, stats.suppressed, stats.batches) == (1, 1, 2)
        assert b.acked == [5, 5]
        assert b.shown == [5]
        numbers = {name: value for name, _, value in numbers_of(stats)}
        assert numbers["committed_reads_total"] == 1.0
        assert "last_error" not in numbers


async def test_an_unstorable_read_is_acked_too() -> None:
    async with bench(batch_size=1) as b:
        bad = ReadResult(sample_read(1)._replace(seq="\x00"), Disposition.STORED)
        await b.engine.write([bad], [])
        await b.engine.flush()
        assert (b.engine.stats().unstorable, b.acked) == (1, [1])


async def test_a_read_that_was_damaged_on_its_way_is_a_dead_letter_and_its_neighbours_are_stored() -> None:
    async with bench(batch_size=3) as b:
        whole = sample_read(1)
        whole = whole._replace(checksum=bases_and_alleles(whole.ref_seq, whole.seq, []))
        damaged = whole._replace(read_index=2, seq="T" + whole.seq[1:])
        paid = [
            ReadResult(read, Disposition.STORED, raw_answer="{}", call_id=str(uuid.UUID(int=9)))
            for read in (sample_read(0), whole, damaged)
        ]
        await b.engine.write(paid, [])
        await b.engine.flush()
        assert (await b.ledger.counts(RUN_ID)).by_disposition == {"stored": 2, "dead_letter": 1}
        assert (b.engine.stats().corrupted, b.engine.stats().unstorable, sorted(b.acked)) == (1, 0, [0, 1, 2])
        (row,) = [row for row in await b.ledger.recent_reads(RUN_ID, 3) if row.read_index == 2]
        assert row.error_kind == "corrupted"


async def test_stop_flushes_and_is_safe_twice_and_before_start() -> None:
    async with bench(flush_s=50.0) as b:
        await b.engine.stop()
        task = b.write(0)
        await turns()
        await b.engine.stop()
        assert task.done()
        await b.engine.stop()


def test_the_buffer_takes_whole_writes_up_to_a_batch() -> None:
    buffer: SinkBuffer[int] = SinkBuffer(4, 1.0, 8)
    for number, size in enumerate((3, 2, 9, 1)):
        buffer.add(Entry(results(*range(size)), [], number, since=float(number)))
    assert buffer.due_in(0.0) == 0.0
    assert [[entry.ticket for entry in buffer.take()] for _ in range(4)] == [[0], [1], [2], [3]]
    assert (buffer.reads, buffer.is_empty, buffer.due_in(0.0)) == (15, True, None)


def test_commit_times_by_nearest_rank() -> None:
    assert nearest_rank([], 50) is None
    times = deque((100.0, 1.0, 3.0, 2.0), maxlen=3)
    assert (nearest_rank(times, 50), nearest_rank(times, 99)) == (2.0, 3.0)


async def test_the_run_is_claimed_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed: list[str] = []
    away = [DatabaseUnavailableError("away")]

    async def claim(self: MemoryLedger, run_id: str) -> None:
        if away:
            raise away.pop()
        claimed.append(run_id)

    monkeypatch.setattr(MemoryLedger, "claim", claim)
    async with bench() as it:
        await it.engine.start()
        while not claimed:
            await it.clock.advance(1.0)
        assert claimed == [RUN_ID]
        assert it.ledger.batches == []
        assert it.engine.stats().retries == 1


async def test_a_run_that_another_process_writes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def claim(self: MemoryLedger, run_id: str) -> None:
        raise RunBusyError("written by another process")

    monkeypatch.setattr(MemoryLedger, "claim", claim)
    async with bench() as it:
        with pytest.raises(RunBusyError):
            await it.write(0)
        assert it.engine.stats().fatal_error == "written by another process"
        assert it.ledger.batches == []


async def test_intents_of_many_callers_share_a_commit_and_wait_for_no_batch_of_reads() -> None:
    async with bench() as b:
        b.ledger.gate.clear()
        write = b.write(*range(4))
        b.ledger.intents.clear()
        first = b.intend("a")
        await turns()
        others = [b.intend("b", "c"), b.intend("d")]
        await turns()
        b.ledger.intents.set()
        await asyncio.gather(first, *others)
        assert b.ledger.intended == [["a"], ["b", "c", "d"]]
        assert not write.done()
        assert await b.ledger.spent_usd(RUN_ID) == 4 * WORST
        b.ledger.gate.set()
        await write


async def test_nothing_is_intended_or_authorised_before_the_run_is_claimed() -> None:
    async with bench() as b:
        b.ledger.claims.clear()
        intent, authorisation = b.intend("a"), asyncio.create_task(b.engine.authorise(Decimal(1)))
        await turns()
        assert not intent.done()
        assert not authorisation.done()
        b.ledger.claims.set()
        await intent
        assert await authorisation == Decimal(1)
        assert await b.engine.authorise(Decimal("0.5")) == Decimal(1)
        assert await b.ledger.reserved_usd(RUN_ID) == Decimal(1)


async def test_while_the_database_is_away_intents_wait() -> None:
    async with bench() as b:
        b.ledger.away = [DatabaseLostError("away")] * 3
        intent = b.intend("a")
        await b.clock.until_sleeping()
        assert not intent.done()
        await b.clock.advance(20.0)
        await intent
        assert b.ledger.intended == [["a"]]


def answer(name: str, index: int) -> Receipt:
    return Receipt(name, [index], datetime(2026, 1, 1, tzinfo=UTC), 200, b"{}")


async def test_a_read_whose_result_waits_for_its_commit_is_not_asked_about() -> None:
    async with bench() as b:
        b.ledger.gate.clear()
        write = b.write(*range(5))
        await b.ledger.writing.wait()
        ((_, done, unsaved, _),) = await b.intend("a", read=4)
        assert (done, unsaved) == ([], [4])
        b.ledger.gate.set()
        await write
        ((_, done, unsaved, _),) = await b.intend("a", read=4)
        assert (done, unsaved) == ([4], [])


async def test_without_the_driver_nothing_is_sent_and_answers_are_kept() -> None:
    alive = True
    async with bench(in_charge=lambda: alive) as b:
        assert await b.intend("a", read=7) == []
        b.ledger.intents.clear()
        intent = b.intend("b", read=8)
        await turns()
        alive = False  # while it is put on record
        b.ledger.intents.set()
        with pytest.raises(DriverGoneError):
            await intent
        with pytest.raises(DriverGoneError):
            await b.intend("c", read=9, receipts=[answer("a", 7)])
        alive = True
        ((_, _, _, answers),) = await b.intend("d", read=7)
        assert [stored.call.call_id for _, stored in answers] == ["a"]
        assert await b.ledger.spent_usd(RUN_ID) == 2 * WORST, "of c nothing is on record"


async def test_a_second_after_rows_could_not_be_committed_nothing_is_sent_until_they_are() -> None:
    async with bench() as b:
        b.ledger.failures = [DatabaseLostError("gone")] * 6
        write = b.write(*range(4))
        await turns()
        assert await b.intend("a", read=10) == []
        await b.clock.advance(1.0)
        with pytest.raises(DatabaseLostError, match="nothing is sent"):
            await b.intend("b", read=11)
        while not write.done():
            await b.clock.advance(5.0)
        assert await b.intend("b", read=11) == []


async def test_what_a_dead_process_had_received_is_on_record_before_the_next_request(tmp_path: Path) -> None:
    async with bench(spool=tmp_path) as b:
        await b.intend("a", read=7)
        (tmp_path / "dead").write_bytes(encoded(answer("a", 7)))
        b.ledger.away = [DatabaseLostError("gone")]
        intent = b.intend("b", read=7)
        await b.clock.until_sleeping()
        assert (tmp_path / "dead").exists()
        await b.clock.advance(1.0)
        ((_, _, _, answers),) = await intent
        assert [stored.receipt for _, stored in answers] == [answer("a", 7)]
        assert not (tmp_path / "dead").exists()


async def test_a_sink_that_gave_up_takes_no_intents() -> None:
    async with bench() as b:
        b.ledger.refused = RunBusyError("busy")
        with pytest.raises(RunBusyError):
            await b.intend("a")
        with pytest.raises(RunBusyError):
            await b.engine.authorise(Decimal(1))
        assert b.ledger.intended == []


async def test_stop_tells_who_still_waits() -> None:
    async with bench() as b:
        b.ledger.intents.clear()
        intent = b.intend("a")
        await turns()
        await b.engine.stop()
        with pytest.raises(DatabaseLostError, match="stopped"):
            await intent
