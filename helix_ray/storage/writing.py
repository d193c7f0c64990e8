"""The rows that are written one at a time: runs and commands. Batches of reads are in `batches`."""

from __future__ import annotations

import json
from typing import Any

from helix_ray.errors import InvariantError, RunBusyError, StartError
from helix_ray.records import ControlEvent, ControlOutcome, JsonObject, RunStatus
from helix_ray.storage.claims import busy_message, patiently
from helix_ray.storage.escaping import storable, storable_or_none
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.session import Session, Transaction
from helix_ray.storage.statements import statements


async def start_run(session: Session, run: RunRow) -> None:
    sql, params = statements("writing"), _run_params(run)

    async def work(transaction: Transaction) -> str:
        await transaction.execute(sql["start_run"], params)
        return str((await transaction.rows(sql["config_hash"], {"run_id": run.run_id}))[0]["config_hash"])

    if await session.run(work) != run.config_hash:
        raise InvariantError(f"run {run.run_id} exists already, with another configuration")


async def resume_run(session: Session, run_id: str, run: RunRow) -> None:
    sql, params = statements("writing"), {**_run_params(run), "run_id": run_id}

    async def work(transaction: Transaction) -> bool:
        if not (await transaction.rows(sql["run_is_free"], {"run_id": run_id}))[0]["free"]:
            return False
        if not await transaction.execute(sql["resume_run"], params):
            raise StartError(f"run {run_id} is not in this database; check the run id, HELIX_HOME and DATABASE_URL")
        return True

    if not await patiently(lambda: session.run(work)):
        raise RunBusyError(busy_message(run_id))


def _run_params(run: RunRow) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "config_json": run.config_json,
        "config_hash": run.config_hash,
        "seed": run.seed,
        "versions": json.dumps(dict(run.versions)),
        "backend": run.backend,
        "simulated": run.simulated,
        "source_checksum": run.source_checksum,
        "started_at": run.started_at,
    }


async def finish_run(session: Session, run_id: str, status: RunStatus, totals: JsonObject) -> None:
    query = statements("writing")["finish_run"]
    params = {"run_id": run_id, "status": status.value, "totals": json.dumps(totals)}
    if not await session.run(lambda transaction: transaction.execute(query, params)):
        raise InvariantError(f"run {run_id} ends but was never started in this database")


async def record_control(session: Session, run_id: str, event: ControlEvent) -> bool:
    query = statements("writing")["record_control"]
    params = {
        "request_id": event.request_id,
        "run_id": run_id,
        "action": event.action,
        "actor": storable(event.actor, 200),
        "reason": storable_or_none(event.reason, 1000),
        "value_from": storable_or_none(event.value_from, 200),
        "value_to": storable_or_none(event.value_to, 200),
        "asked_at": event.asked_at,
    }
    return await session.run(lambda transaction: transaction.execute(query, params)) == 1


async def mark_control(session: Session, request_id: str, outcome: ControlOutcome) -> None:
    query = statements("writing")["mark_control"]
    params = {
        "request_id": request_id,
        "accepted": outcome.accepted,
        "message": storable_or_none(outcome.message, 1000),
        "value_from": storable_or_none(outcome.value_from, 200),
        "value_to": storable_or_none(outcome.value_to, 200),
        "acknowledged_at": outcome.acknowledged_at,
        "in_effect_at": outcome.in_effect_at,
    }
    await session.run(lambda transaction: transaction.execute(query, params))
