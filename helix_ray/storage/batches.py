"""A batch of final rows into the database: one transaction, repeatable without effect, one bad row never costs its neighbours.

The answer to a COMMIT can be lost, so every statement here is idempotent: rows go through a temporary table with ON
CONFLICT DO NOTHING, child rows and totals follow only from what that insert returned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from helix_ray.errors import InvariantError
from helix_ray.records import ApiCall, Disposition, ReadResult
from helix_ray.storage.escaping import MAX_TEXT_CHARS, as_unstorable, result_problem
from helix_ray.storage.ledger import WriteOutcome
from helix_ray.storage.rows import call_row, read_row, utc_now, variant_rows
from helix_ray.storage.session import Rejected, Session, Transaction
from helix_ray.storage.statements import statements


async def write_batch(session: Session, run_id: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteOutcome:
    """Every read of ``results`` has its row afterwards; InvariantError if even a dead letter in its place is refused."""
    first_of = {result.read.read_index: result for result in reversed(results)}  # within a batch, too, the first wins
    unique = [result for index, result in sorted(first_of.items())]
    whole = await _attempt(session, run_id, unique, calls) if unique or calls else []
    if isinstance(whole, Rejected):
        await _write_calls(session, run_id, calls)  # the money first
        outcome = WriteOutcome([], [], [])
        await _bisect(session, run_id, unique, whole, outcome)
    else:
        outcome = WriteOutcome(whole, [], [])
    named = {*outcome.inserted, *(index for index, _ in outcome.poisoned)}
    outcome.suppressed.extend(sorted(first_of.keys() - named))
    return outcome


async def _bisect(session: Session, run_id: str, results: list[ReadResult], known: Rejected | None, outcome: WriteOutcome) -> bool:
    """Stores what can be stored of ``results``; whether that was all. ``known``: why the whole was refused; None: not tried yet.

    One bad row among n costs at most 2·log2(n) + 1 transactions: a half that follows a sound half is known to be bad.
    """
    refusal = known
    if refusal is None:
        written = await _attempt(session, run_id, results, [])
        if not isinstance(written, Rejected):
            outcome.inserted.extend(written)
            return True
        refusal = written
    if len(results) <= 1:
        for result in results:
            await _bury(session, run_id, result, refusal, outcome)
        return not results
    middle = len(results) // 2
    left_is_sound = await _bisect(session, run_id, results[:middle], None, outcome)
    await _bisect(session, run_id, results[middle:], refusal if left_is_sound else None, outcome)
    return False


async def _bury(session: Session, run_id: str, result: ReadResult, refusal: Rejected, outcome: WriteOutcome) -> None:
    index = result.read.read_index
    reason = result_problem(result) or refusal.reason
    buried = await _attempt(session, run_id, [as_unstorable(result, reason)], [])
    if isinstance(buried, Rejected):
        raise InvariantError(f"read {index} can be stored neither as it is ({reason}) nor as a dead letter ({buried.reason})")
    if buried:
        outcome.poisoned.append((index, reason))


async def _write_calls(session: Session, run_id: str, calls: Sequence[ApiCall]) -> None:
    if not calls:
        return
    written = await _attempt(session, run_id, [], calls)
    if isinstance(written, Rejected):
        raise InvariantError(f"the record of a request cannot be stored, and its cost would be lost: {written.reason}")


async def _attempt(session: Session, run_id: str, results: list[ReadResult], calls: Sequence[ApiCall]) -> list[int] | Rejected:
    """The indices that this transaction inserted."""
    oversized = next((problem for result in results if (problem := _oversized(result))), None)
    if oversized is not None:
        return Rejected(oversized)  # PostgreSQL would end the connection over it

    async def work(transaction: Transaction) -> list[int]:
        return await _write(transaction, run_id, results, calls)

    return await session.attempt(work)


def _oversized(result: ReadResult) -> str | None:
    read = result.read
    longest = max(
        len(text) for text in (read.read_id, read.ref_seq, read.seq, read.qual or "", result.raw_answer or "", result.error or "")
    )
    return f"a field of {longest} characters; at most {MAX_TEXT_CHARS} are stored" if longest > MAX_TEXT_CHARS else None


async def _write(transaction: Transaction, run_id: str, results: list[ReadResult], calls: Sequence[ApiCall]) -> list[int]:
    sql, now, key = statements("writing"), utc_now(), {"run_id": run_id}
    if not await transaction.rows(sql["lock_run"], key):
        raise InvariantError(f"run {run_id} was never started in this database")
    if calls:
        latest = {call.call_id: call for call in calls}  # a batch may hold a call's beginning and its end
        await transaction.execute(sql["incoming_calls"])
        await transaction.copy(sql["copy_calls"], (call_row(run_id, call, now) for call in latest.values()))
        await transaction.execute(sql["upsert_calls"], key)
    if not results:
        return []
    await transaction.execute(sql["incoming_reads"])
    await transaction.copy(sql["copy_reads"], (read_row(run_id, result, now) for result in results))
    inserted = await transaction.rows(sql["insert_reads"])
    indices = {int(row["read_index"]) for row in inserted}
    await transaction.copy(
        sql["copy_variants"],
        (row for result in results if result.read.read_index in indices for row in variant_rows(run_id, result)),
    )
    if inserted:
        dispositions = Counter(row["disposition"] for row in inserted)
        await transaction.execute(sql["add_rows"], {**key, **{kind.value: dispositions[kind.value] for kind in Disposition}})
    return sorted(indices)
