"""The money's side of the ledger: requests before they are sent, what the throttle may spend, what was spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

from helix_ray.errors import InvariantError
from helix_ray.records import ApiCall, PastUse
from helix_ray.storage.rows import CALL_COLUMNS, call_row, utc_now
from helix_ray.storage.session import Session, Transaction
from helix_ray.storage.statements import statements


async def intend(session: Session, run_id: str, calls: Sequence[ApiCall]) -> None:
    query, now = statements("money")["intend_calls"], utc_now()
    rows = [dict(zip(CALL_COLUMNS, call_row(run_id, call, now), strict=True)) for call in calls]
    params = {"calls": json.dumps(rows, default=str)}
    await session.run(lambda transaction: transaction.execute(query, params))


async def authorise(session: Session, run_id: str, total_usd: Decimal) -> Decimal:
    query, params = statements("money")["authorise"], {"run_id": run_id, "total_usd": total_usd}
    rows = await session.run(lambda transaction: transaction.rows(query, params))
    if not rows:
        raise InvariantError(f"run {run_id} was never started in this database")
    return Decimal(rows[0]["reserved_usd"])


async def reserved_usd(session: Session, run_id: str) -> Decimal:
    query = statements("money")["reserved_usd"]
    rows = await session.run(lambda transaction: transaction.rows(query, {"run_id": run_id}))
    return Decimal(rows[0]["reserved_usd"]) if rows else Decimal(0)


async def close_open_calls(session: Session, run_id: str) -> Decimal:
    sql, key = statements("money"), {"run_id": run_id}

    async def work(transaction: Transaction) -> Decimal:
        await transaction.execute(sql["close_open_calls"], key)
        spent = Decimal((await transaction.rows(sql["spent_usd"], {**key, "but_epoch": None}))[0]["spent_usd"])
        await transaction.execute(sql["reserve_what_is_spent"], {**key, "total_usd": spent})
        return spent

    return await session.run(work)


async def spent_usd(session: Session, run_id: str, but_epoch: str | None) -> Decimal:
    query, params = statements("money")["spent_usd"], {"run_id": run_id, "but_epoch": but_epoch}
    return Decimal((await session.run(lambda transaction: transaction.rows(query, params)))[0]["spent_usd"])


async def taken(session: Session, model: str, simulated: bool) -> list[PastUse]:
    query, params = statements("money")["taken"], {"model": model, "simulated": simulated}
    rows = await session.run(lambda transaction: transaction.rows(query, params))
    return [PastUse(*(row[name] for name in PastUse._fields)) for row in rows]
