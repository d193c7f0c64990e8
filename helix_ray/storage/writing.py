"""What is written: runs, commands, requests and their money, and batches of final rows.

The answer to a COMMIT can be lost, so every statement here is idempotent. Writers of one run take turns by its lock: what has no row
under it gets one, and child rows and totals follow from that alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from decimal import Decimal

from helix_ray.errors import InvariantError, RunBusyError, StartError
from helix_ray.records import (
    ApiCall,
    ControlEvent,
    ControlOutcome,
    Disposition,
    Intent,
    JsonObject,
    ReadResult,
    Receipt,
    Refused,
    RunStatus,
    StoredAnswer,
)
from helix_ray.storage.integrity import MAX_TEXT_CHARS, as_unstorable, result_problem, storable_or_none
from helix_ray.storage.ledger import RunRow, WriteOutcome
from helix_ray.storage.postgres_session import PostgresSession, PostgresTransaction, Rejected, busy_message, until_claimed
from helix_ray.storage.rows import call_from_row, call_row, read_row, utc_now, variant_rows
from helix_ray.storage.send_check import Answer, Facts, Held, is_needed, keep_back
from helix_ray.storage.statements import statements

_CONTROL_TEXTS = {"actor": 200, "reason": 1000, "message": 1000, "value_from": 200, "value_to": 200}  # characters at most


class Writing:
    """The methods of `Ledger` that write."""

    _session: PostgresSession

    async def start_run(self, run: RunRow) -> None:
        sql, params = statements("writing"), _run_params(run)

        async def work(transaction: PostgresTransaction) -> str:
            await transaction.execute(sql["start_run"], params)
            return str((await transaction.rows(sql["config_hash"], {"run_id": run.run_id}))[0]["config_hash"])

        if await self._session.run(work) != run.config_hash:
            raise InvariantError(f"run {run.run_id} exists already, with another configuration")

    async def resume_run(self, run_id: str, row: RunRow) -> None:
        sql, params = statements("writing"), {**_run_params(row), "run_id": run_id}

        async def work(transaction: PostgresTransaction) -> bool:
            if not (await transaction.rows(sql["run_is_free"], {"run_id": run_id}))[0]["free"]:
                return False
            if not await transaction.execute(sql["resume_run"], params):
                raise StartError(f"run {run_id} is not in this database; check the run id, HELIX_HOME and DATABASE_URL")
            return True

        if not await until_claimed(lambda: self._session.run(work)):
            raise RunBusyError(busy_message(run_id))

    async def finish_run(self, run_id: str, status: RunStatus, totals: JsonObject) -> None:
        params = {"run_id": run_id, "status": status.value, "totals": json.dumps(totals)}
        if not await self._session.execute("writing", "finish_run", params):
            raise InvariantError(f"run {run_id} ends but was never started in this database")

    async def record_control(self, run_id: str, event: ControlEvent) -> bool:
        return await self._session.execute("writing", "record_control", {**_control_params(event), "run_id": run_id}) == 1

    async def mark_control(self, request_id: str, outcome: ControlOutcome) -> None:
        await self._session.execute("writing", "mark_control", {**_control_params(outcome), "request_id": request_id})

    async def intend(
        self, run_id: str, intents: Sequence[Intent], receipts: Sequence[Receipt] = (), unsaved: Collection[int] = ()
    ) -> list[Refused]:
        sql = statements("money")
        asked = {index for intent in intents for index in intent.call.read_indices}
        asked.update(index for receipt in receipts for index in receipt.read_indices)

        async def work(transaction: PostgresTransaction) -> list[Refused]:
            rows = await transaction.rows(sql["facts_of_reads"], {"run_id": run_id, "asked": list(asked)})
            done = {int(row["read_index"]) for row in rows if row["done"]}
            answers = {str(row["call_id"]): Answer(row["read_indices"], row["unusable"]) for row in rows if not row["done"]}
            needed = {receipt.call_id: receipt for receipt in receipts if is_needed(receipt.read_indices, done)}
            answers |= {name: Answer(receipt.read_indices, ()) for name, receipt in needed.items() if name not in answers}
            facts = Facts(done, unsaved, answers)
            checked = [(intent, keep_back(intent.call.read_indices, intent.unusable, facts)) for intent in intents]
            passed = [intent for intent, held in checked if held is None]
            if passed or needed:
                await transaction.execute(sql["intend_calls"], _intend_params(run_id, passed, list(needed.values())))
            return await _refused(transaction, [(intent.call.call_id, held) for intent, held in checked if held is not None])

        return await self._session.run(work)

    async def authorise(self, run_id: str, total_usd: Decimal) -> Decimal:
        rows = await self._session.rows("money", "authorise", {"run_id": run_id, "total_usd": total_usd})
        if not rows:
            raise InvariantError(f"run {run_id} was never started in this database")
        return Decimal(rows[0]["reserved_usd"])

    async def close_open_calls(self, run_id: str) -> Decimal:
        sql, key = statements("money"), {"run_id": run_id}

        async def work(transaction: PostgresTransaction) -> Decimal:
            await transaction.execute(sql["close_open_calls"], key)
            await transaction.execute(sql["drop_receipts"], key)
            spent = Decimal((await transaction.rows(sql["spent_usd"], {**key, "but_incarnation": None}))[0]["spent_usd"])
            await transaction.execute(sql["reserve_what_is_spent"], {**key, "total_usd": spent})
            return spent

        return await self._session.run(work)

    async def write_batch(self, run_id: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteOutcome:
        """InvariantError if even a dead letter in place of a read is refused."""
        return await _Batch(self._session, run_id).write(results, calls)


def _run_params(run: RunRow) -> JsonObject:
    return {**asdict(run), "versions": json.dumps(dict(run.versions))}


def _intend_params(run_id: str, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> JsonObject:
    now = utc_now()
    judged = {pair for intent in intents for pair in intent.unusable}
    unusable = [[index for index in receipt.read_indices if (receipt.call_id, index) in judged] for receipt in receipts]
    return {
        "run_id": run_id,
        "calls": json.dumps([call_row(run_id, intent.call, now) for intent in intents], default=str),
        "call_ids": [receipt.call_id for receipt in receipts],
        "read_indices": [_array(receipt.read_indices) for receipt in receipts],
        "arrived": [receipt.arrived_at for receipt in receipts],
        "statuses": [receipt.status for receipt in receipts],
        "bodies": [receipt.body for receipt in receipts],
        "unusable": [_array(indices) for indices in unusable],
        "judged_calls": [call_id for call_id, _ in judged],
        "judged_reads": [index for _, index in judged],
    }


def _array(indices: Sequence[int]) -> str:
    """As PostgreSQL writes it: an array of arrays of different lengths is none of its types."""
    return "{" + ",".join(map(str, indices)) + "}"


async def _refused(transaction: PostgresTransaction, held: Sequence[tuple[str, Held]]) -> list[Refused]:
    """With the answers that are handed back."""
    names = {name for _, each in held for _, name in each.answers}
    rows = await transaction.rows(statements("money")["stored_answers"], {"call_ids": list(names)}) if names else []
    found = {
        str(row["call_id"]): StoredAnswer(call_from_row(row["call"]), Receipt(*(row[name] for name in Receipt._fields))) for row in rows
    }
    return [
        Refused(call_id, each.done, each.unsaved, [(index, found[name]) for index, name in each.answers if name in found])
        for call_id, each in held
    ]


def _control_params(control: ControlEvent | ControlOutcome) -> JsonObject:
    values = asdict(control)
    return values | {name: storable_or_none(values[name], limit) for name, limit in _CONTROL_TEXTS.items() if name in values}


class _Batch:
    """One batch: one transaction, or, when a row is refused, as many as it takes to store the others."""

    def __init__(self, session: PostgresSession, run_id: str) -> None:
        self._session = session
        self._run_id = run_id
        self._outcome = WriteOutcome([], [], [])

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteOutcome:
        first_of = {result.read.read_index: result for result in reversed(results)}  # within a batch, too, the first wins
        unique = [result for index, result in sorted(first_of.items())]
        whole = await self._attempt(unique, calls) if unique or calls else []
        if isinstance(whole, Rejected):
            money = await self._attempt([], calls) if calls else []  # first
            if isinstance(money, Rejected):
                raise InvariantError(f"the record of a request cannot be stored, and its cost would be lost: {money.reason}")
            await self._bisect(unique, whole)
        else:
            self._outcome.inserted.extend(whole)
        named = {*self._outcome.inserted, *(index for index, _ in self._outcome.poisoned)}
        self._outcome.suppressed.extend(sorted(first_of.keys() - named))
        return self._outcome

    async def _bisect(self, results: list[ReadResult], known: Rejected | None) -> bool:
        """Store what can be stored of ``results``; whether that was all. ``known``: why the whole was refused; None: not tried yet.

        One bad row among n costs at most 2·log2(n) + 1 transactions: a half that follows a sound half is known to be bad.
        """
        refusal = known
        if refusal is None:
            written = await self._attempt(results, [])
            if not isinstance(written, Rejected):
                self._outcome.inserted.extend(written)
                return True
            refusal = written
        if len(results) <= 1:
            for result in results:
                await self._dead_letter(result, refusal)
            return not results
        middle = len(results) // 2
        left_is_sound = await self._bisect(results[:middle], None)
        await self._bisect(results[middle:], refusal if left_is_sound else None)
        return False

    async def _dead_letter(self, result: ReadResult, refusal: Rejected) -> None:
        index = result.read.read_index
        reason = result_problem(result) or refusal.reason
        written = await self._attempt([as_unstorable(result, reason)], [])
        if isinstance(written, Rejected):
            raise InvariantError(f"read {index} can be stored neither as it is ({reason}) nor as a dead letter ({written.reason})")
        if written:
            self._outcome.poisoned.append((index, reason))

    async def _attempt(self, results: list[ReadResult], calls: Sequence[ApiCall]) -> list[int] | Rejected:
        """The indices that this transaction inserted."""
        oversized = next((problem for result in results if (problem := _oversized(result))), None)
        if oversized is not None:
            return Rejected(oversized)  # PostgreSQL would end the connection over it
        return await self._session.attempt(lambda transaction: self._write(transaction, results, calls))

    async def _write(self, transaction: PostgresTransaction, results: list[ReadResult], calls: Sequence[ApiCall]) -> list[int]:
        sql, now, run_id, key = statements("writing"), utc_now(), self._run_id, {"run_id": self._run_id}
        if not await transaction.rows(sql["lock_run"], key):
            raise InvariantError(f"run {run_id} was never started in this database")
        if calls:
            latest = {call.call_id: call for call in calls}  # a batch may hold a call's beginning and its end
            await transaction.execute(sql["incoming_calls"])
            await transaction.copy(sql["copy_calls"], (tuple(call_row(run_id, call, now).values()) for call in latest.values()))
            await transaction.execute(sql["upsert_calls"], key)
        if not results:
            return []
        asked = {**key, "read_indices": [result.read.read_index for result in results]}
        done = {int(row["read_index"]) for row in await transaction.rows(sql["reads_with_rows"], asked)}
        fresh = [result for result in results if result.read.read_index not in done]
        if fresh:
            await transaction.copy(sql["copy_reads"], (read_row(run_id, result, now) for result in fresh))
            await transaction.copy(sql["copy_variants"], (row for result in fresh for row in variant_rows(run_id, result)))
            dispositions = Counter(result.disposition for result in fresh)
            await transaction.execute(sql["add_rows"], {**key, **{kind.value: dispositions[kind] for kind in Disposition}})
        if any(result.call_id for result in results):
            await transaction.execute(sql["drop_answered"], asked)
        return [result.read.read_index for result in fresh]


def _oversized(result: ReadResult) -> str | None:
    read = result.read
    longest = max(
        len(text) for text in (read.read_id, read.ref_seq, read.seq, read.qual or "", result.raw_answer or "", result.error or "")
    )
    return f"a field of {longest} characters; at most {MAX_TEXT_CHARS} are stored" if longest > MAX_TEXT_CHARS else None
