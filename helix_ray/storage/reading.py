"""Questions to the database: what is done, what it came to, what happened last."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

from helix_ray.records import CallState, ControlEvent, ControlOutcome, Read, ReadResult, RunStatus, failure_kind
from helix_ray.storage.ledger import Agreement, RecentRow, RunCounts, StoredRun
from helix_ray.storage.rows import SCORED_SIDES, read_from_row, result_from_row, variant_from_row
from helix_ray.storage.session import Session, Transaction
from helix_ray.storage.statements import statements

Rows = list[dict[str, Any]]


async def _ask(session: Session, name: str, params: Mapping[str, Any]) -> Rows:
    query = statements("reading")[name]
    return await session.run(lambda transaction: transaction.rows(query, params))


async def load_run(session: Session, run_id: str) -> StoredRun | None:
    query, spent_query, key = statements("reading")["load_run"], statements("money")["spent_usd"], {"run_id": run_id}

    async def work(transaction: Transaction) -> tuple[Rows, Rows]:
        return await transaction.rows(query, key), await transaction.rows(spent_query, {**key, "but_epoch": None})

    rows, spent = await session.run(work)
    if not rows:
        return None
    row = rows[0]
    told = {"status": RunStatus(row["status"]), "earlier_configs": tuple(row["earlier_configs"]), "cost_usd": spent[0]["spent_usd"]}
    return StoredRun(**{**row, **told})


async def done_ranges(session: Session, run_id: str) -> list[tuple[int, int]]:
    return [(int(row["first"]), int(row["past"])) for row in await _ask(session, "done_ranges", {"run_id": run_id})]


async def counts(session: Session, run_id: str) -> RunCounts:
    sql, key = statements("reading"), {"run_id": run_id}

    async def work(transaction: Transaction) -> tuple[Rows, ...]:
        return (
            await transaction.rows(sql["rows_by_disposition"], key),
            await transaction.rows(sql["duplicates"], key),
            await transaction.rows(sql["calls_by_state"], key),
            await transaction.rows(sql["reads_repaid"], key),
            await transaction.rows(sql["latency"], key),
            await transaction.rows(sql["dead_letter_kinds"], key),
            await transaction.rows(sql["call_endings"], key),
            await transaction.rows(sql["reads_by_tier"], key),
        )

    dispositions, duplicates, calls, repaid, latency, kinds, endings, tiers = await session.run(work)
    by_disposition = {str(row["disposition"]): int(row["rows"]) for row in dispositions}
    by_state = {str(row["state"]): int(row["calls"]) for row in calls}
    percentiles = latency[0]["percentiles"] or (None, None, None)
    return RunCounts(
        rows=sum(by_disposition.values()),
        by_disposition=by_disposition,
        dead_letter_kinds={str(row["error_kind"]): int(row["rows"]) for row in kinds},
        duplicates=int(duplicates[0]["duplicates"]),
        reads_repaid=int(repaid[0]["reads_repaid"]),
        possibly_billed=by_state.get("possibly_billed", 0),
        requests=sum(int(row["requests"]) for row in calls),
        repairs=sum(int(row["repairs"]) for row in calls),
        calls_by_state=by_state,
        http_429=sum(int(row["http_429"]) for row in calls),
        prompt_tokens=sum(int(row["prompt_tokens"]) for row in calls),
        cached_tokens=sum(int(row["cached_tokens"]) for row in calls),
        completion_tokens=sum(int(row["completion_tokens"]) for row in calls),
        cost_usd=sum((Decimal(row["cost_usd"]) for row in calls), Decimal(0)),
        answered_ms=sum(float(row["answered_ms"]) for row in calls),
        latency_ms=dict(zip(("p50", "p95", "p99"), percentiles, strict=True)),
        truth_reads=sum(int(row["truth_reads"]) for row in dispositions),
        identifiable_reads=sum(int(row["identifiable_reads"]) for row in dispositions),
        resent=sum(int(row["resent"]) for row in calls),
        failures=_failures(endings),
        reads_by_tier={str(row["service_tier"]): int(row["rows"]) for row in tiers},
    )


def _failures(endings: Rows) -> dict[str, int]:
    found: Counter[str] = Counter()
    for row in endings:
        kind = failure_kind(CallState(row["state"]), row["status"], row["error_kind"])
        if kind is not None:
            found[kind] += int(row["calls"])
    return dict(found.most_common())


async def controls(session: Session, run_id: str) -> list[tuple[ControlEvent, ControlOutcome]]:
    rows = await _ask(session, "controls", {"run_id": run_id})
    return [
        (
            ControlEvent(**{name: row[name] for name in ("request_id", "action", "actor", "asked_at", "reason", "value_from", "value_to")}),
            ControlOutcome(**{name: row[name] for name in (field.name for field in fields(ControlOutcome))}),
        )
        for row in rows
    ]


async def agreement(session: Session, run_id: str) -> Agreement:
    row = (await _ask(session, "agreement", {"run_id": run_id}))[0]
    return Agreement(*(int(row[name]) for name in ("reads", "reads_equal", "named_by_both", "only_call", "only_baseline")))


async def recent(session: Session, run_id: str, limit: int, *, alerts_only: bool) -> list[RecentRow]:
    rows = await _ask(session, "recent", {"run_id": run_id, "limit": limit, "alerts_only": alerts_only})
    return [RecentRow(**{**row, "calls": tuple(row["calls"])}) for row in rows]


async def read_reads(session: Session, run_id: str, after_index: int, limit: int) -> list[Read]:
    page, variants = await _page(session, "read_reads", run_id, after_index, limit, ("truth", "error"))
    return [read_from_row(row, *(map(variant_from_row, variants[row["read_index"], side]) for side in ("truth", "error"))) for row in page]


async def read_results(session: Session, run_id: str, after_index: int, limit: int) -> list[ReadResult]:
    sides = (*SCORED_SIDES, "error")
    page, variants = await _page(session, "read_results", run_id, after_index, limit, sides)
    return [result_from_row(row, {side: variants[row["read_index"], side] for side in sides}) for row in page]


async def _page(
    session: Session, name: str, run_id: str, after_index: int, limit: int, sides: Sequence[str]
) -> tuple[Rows, dict[tuple[int, str], Rows]]:
    """Rows of ``reads``, and those of ``variant_calls`` by read and side."""
    sql = statements("reading")

    async def work(transaction: Transaction) -> tuple[Rows, Rows]:
        page = await transaction.rows(sql[name], {"run_id": run_id, "after_index": after_index, "limit": limit})
        if not page:
            return [], []
        span = {"run_id": run_id, "sides": list(sides), "first": page[0]["read_index"], "last": page[-1]["read_index"]}
        return page, await transaction.rows(sql["variants_of_reads"], span)

    page, found = await session.run(work)
    variants: dict[tuple[int, str], Rows] = defaultdict(list)
    for row in found:
        variants[row["read_index"], row["side"]].append(row)
    return page, variants
