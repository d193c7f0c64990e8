"""Questions to the database: what is done, what it came to, what it cost, what happened last."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from math import inf, nextafter
from typing import Any, BinaryIO

from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import (
    ApiCall,
    CallState,
    ControlEvent,
    ControlOutcome,
    Disposition,
    PastUse,
    Read,
    ReadResult,
    RunStatus,
    ScoredVariant,
    failure_kind,
    why_left_out,
)
from helix_ray.scoring.clusters import Profile, ReadProfile
from helix_ray.scoring.scores import NOTHING, RunScores, confused
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.scoring.summary import ALL
from helix_ray.scoring.tally import IN_THE_READ, ReadCounts, fields_of
from helix_ray.storage.ledger import Agreement, DeadLetter, RecentRow, RunCounts, RunSummary, StoredRun
from helix_ray.storage.postgres_session import PostgresSession, PostgresTransaction, Rows, T, Work
from helix_ray.storage.rows import SCORED_SIDES, call_from_row, read_from_row, result_from_row
from helix_ray.storage.statements import statements

COUNTS = (
    "rows_by_disposition", "duplicates", "calls_by_state", "reads_repaid", "latency", "dead_letter_kinds", "call_endings", "reads_by_tier",
)  # fmt: skip
"""The statements that together make `RunCounts`."""


def _threshold(hundredth: int) -> float:
    """The least confidence that ``round(confidence, 2)`` makes ``hundredth``: PostgreSQL rounds halves another way."""
    half = (2 * hundredth - 1) / 200
    return half if round(half, 2) == hundredth / 100 else nextafter(half, inf)


THRESHOLDS = [_threshold(hundredth) for hundredth in range(1, 101)]


class Reading:
    """The methods of `Ledger` that read."""

    _session: PostgresSession

    async def runs(self, named: str | None = None) -> list[RunSummary]:
        rows = await self._session.rows("reading", "runs", {"named": named})
        return [RunSummary(**{**row, "status": RunStatus(row["status"])}) for row in rows]

    async def load_run(self, run_id: str) -> StoredRun | None:
        query, spent_query, key = statements("reading")["load_run"], statements("money")["spent_usd"], {"run_id": run_id}

        async def work(transaction: PostgresTransaction) -> tuple[Rows, Rows]:
            return await transaction.rows(query, key), await transaction.rows(spent_query, {**key, "but_incarnation": None})

        rows, spent = await self._session.run(work)
        if not rows:
            return None
        row = rows[0]
        known = {"status": RunStatus(row["status"]), "earlier_configs": tuple(row["earlier_configs"]), "cost_usd": spent[0]["spent_usd"]}
        return StoredRun(**{**row, **known})

    async def done_ranges(self, run_id: str) -> IndexRanges:
        query = statements("reading")["done_ranges"]

        async def work(transaction: PostgresTransaction) -> IndexRanges:
            ranges = IndexRanges()
            async for row in transaction.stream(query, {"run_id": run_id}):
                ranges.add_range(row["first"], row["past"])
            return ranges

        return await self._session.run(work)

    async def counts(self, run_id: str) -> RunCounts:
        sql, key = statements("reading"), {"run_id": run_id}

        async def work(transaction: PostgresTransaction) -> list[Rows]:
            return [await transaction.rows(sql[name], key) for name in COUNTS]

        dispositions, duplicates, calls, repaid, latency, kinds, endings, tiers = await self._session.run(work)
        by_disposition: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        for row in dispositions:
            by_disposition[row["disposition"]] += row["rows"]
            if row["disposition"] not in (Disposition.STORED, Disposition.DEAD_LETTER):
                left_out[why_left_out(row["disposition"], row["reason"])] += row["rows"]
        by_state = {str(row["state"]): int(row["calls"]) for row in calls}
        percentiles = latency[0]["percentiles"] or (None, None, None)
        summed = ("requests", "repairs", "http_429", "prompt_tokens", "cached_tokens", "completion_tokens", "resent", "usage_estimated")
        sums: dict[str, Any] = {name: sum(int(row[name]) for row in calls) for name in summed}
        return RunCounts(
            **sums,
            rows=sum(by_disposition.values()),
            by_disposition=dict(by_disposition),
            left_out=dict(left_out),
            dead_letter_kinds={str(row["error_kind"]): int(row["rows"]) for row in kinds},
            duplicates=int(duplicates[0]["duplicates"]),
            reads_repaid=int(repaid[0]["reads_repaid"]),
            possibly_billed=by_state.get("possibly_billed", 0),
            calls_by_state=by_state,
            cost_usd=sum((Decimal(row["cost_usd"]) for row in calls), Decimal(0)),
            answered_ms=sum(float(row["answered_ms"]) for row in calls),
            latency_ms=dict(zip(("p50", "p95", "p99"), percentiles, strict=True)),
            truth_reads=sum(int(row["truth_reads"]) for row in dispositions),
            identifiable_reads=sum(int(row["identifiable_reads"]) for row in dispositions),
            failures=_failures(endings),
            truncated=sum(int(row["calls"]) for row in endings if (row["state"], row["error_kind"]) == ("answered", "truncated")),
            reads_by_tier={str(row["service_tier"]): int(row["rows"]) for row in tiers},
            reads_possibly_repaid=int(repaid[0]["reads_possibly_repaid"]),
            possibly_billed_usd=sum((Decimal(row["cost_usd"]) for row in calls if row["state"] == "possibly_billed"), Decimal(0)),
        )

    async def reserved_usd(self, run_id: str) -> Decimal:
        rows = await self._session.rows("money", "reserved_usd", {"run_id": run_id})
        return Decimal(rows[0]["reserved_usd"]) if rows else Decimal(0)

    async def spent_usd(self, run_id: str, but_incarnation: str | None = None) -> Decimal:
        rows = await self._session.rows("money", "spent_usd", {"run_id": run_id, "but_incarnation": but_incarnation})
        return Decimal(rows[0]["spent_usd"])

    async def on_record(self, run_id: str, call_ids: Sequence[str]) -> list[str]:
        rows = await self._session.rows("money", "on_record", {"run_id": run_id, "call_ids": list(call_ids)})
        return [str(row["call_id"]) for row in rows]

    async def taken(self, model: str, provider: str | None, simulated: bool) -> list[PastUse]:
        rows = await self._session.rows("money", "taken", {"model": model, "provider": provider, "simulated": simulated})
        return [PastUse(*(row[name] for name in PastUse._fields)) for row in rows]

    async def controls(self, run_id: str) -> list[tuple[ControlEvent, ControlOutcome]]:
        rows = await self._session.rows("reading", "controls", {"run_id": run_id})
        event, outcome = ([field.name for field in fields(made)] for made in (ControlEvent, ControlOutcome))
        return [
            (ControlEvent(**{name: row[name] for name in event}), ControlOutcome(**{name: row[name] for name in outcome})) for row in rows
        ]

    async def agreement(self, run_id: str) -> Agreement:
        query = statements("reading")["agreement"]
        (row,) = await self._over_a_run(lambda transaction: transaction.rows(query, {"run_id": run_id}))
        equal, both = row["reads_equal"], row["named_by_both"]
        return Agreement(reads=row["reads"], reads_equal=equal, both=both, only_call=row["only_call"], only_baseline=row["only_baseline"])

    async def scores(self, run_id: str) -> RunScores:
        """Counted by the database: equal to `RunScores.add` over all results, without moving any of them."""
        sql, key = statements("scoring"), {"run_id": run_id}

        async def work(transaction: PostgresTransaction) -> RunScores:
            found = RunScores()
            for row in await transaction.rows(sql["calls"], {**key, "thresholds": THRESHOLDS}):
                hundredth = row["hundredth"]
                found.add_call(None if hundredth is None else hundredth / 100, row["matched"], row["times"])
                if row["off_by"] is not None:
                    found.off_by[row["off_by"]] += row["times"]
            for row in await transaction.rows(sql["mistaken"], key):
                found.confusion[row["type"], row["called"] if row["found"] else NOTHING] += row["times"]
            for profiles, every in ((found.profiles, False), (found.profiles_of_all, True)):
                for row in await transaction.rows(sql["profiles"], {**key, "all_differences": every}):
                    profiles.setdefault(row["type"] or ALL, Counter())[Profile(*(row[name] for name in Profile._fields))] += row["clusters"]
            for row in await transaction.rows(sql["read_profiles"], key):
                found.read_profiles[ReadProfile(*(row[name] for name in ReadProfile._fields))] += row["clusters"]
            for kind, clusters in found.profiles_of_all.items():
                for profile, times in clusters.items() if kind != ALL else ():
                    for field, count in profile._asdict().items():
                        found.all_differences.count(("type", kind), (field,), count * times)
            (whole,) = await transaction.rows(sql["reads"], {**key, "in_the_read": IN_THE_READ})
            described = sum(profile.described * times for profile, times in found.read_profiles.items())
            found.reads = ReadCounts(**whole, described=described)
            found.outcomes.update({row["outcome"]: row["calls"] for row in await transaction.rows(sql["outcomes"], key)})
            found.leniency.update({row["overlooked"]: row["reads"] for row in await transaction.rows(sql["leniency"], key)})
            await transaction.rows(sql["group_by_hash"])
            for row in await transaction.rows(sql["counts"], key):
                _add_variants(found, row)
            return found

        return await self._over_a_run(work)

    async def _over_a_run(self, work: Work[T]) -> T:
        async def hashed(transaction: PostgresTransaction) -> T:
            await transaction.rows(statements("scoring")["join_by_hash"])
            return await work(transaction)

        return await self._session.run(hashed)

    async def compared(self, run_id: str, reads: BinaryIO, variants: BinaryIO, *, packed: bool, errors: bool) -> None:
        """Writes the scored reads, and their truths and wrong calls, as CSV with a head: some 40 bytes a row. ``packed``: with the
        requests that answered; ``errors``: with sequencing errors as truths.
        """
        sql, key = statements("scoring"), {"run_id": run_id, "packed": packed, "errors": errors}

        async def work(transaction: PostgresTransaction) -> None:
            await transaction.copy_out(sql["compared_reads"], key, reads)
            await transaction.copy_out(sql["compared_variants"], key, variants)

        await self._over_a_run(work)

    async def recent_reads(self, run_id: str, limit: int) -> list[RecentRow]:
        return await self._recent(run_id, limit, alerts_only=False)

    async def recent_alerts(self, run_id: str, limit: int) -> list[RecentRow]:
        return await self._recent(run_id, limit, alerts_only=True)

    async def _recent(self, run_id: str, limit: int, *, alerts_only: bool) -> list[RecentRow]:
        rows = await self._session.rows("reading", "recent", {"run_id": run_id, "limit": limit, "alerts_only": alerts_only})
        return [RecentRow(**{**row, "variants": tuple(map(_shown_variant, row["variants"]))}) for row in rows]

    async def find_read(self, run_id: str, named: str) -> int | None:
        """The index of a finished read by its index or, where no index is ``named`` so, by its id; of several the first."""
        index = int(named) if named.isascii() and named.isdigit() and len(named) < 19 else None
        rows = await self._session.rows("reading", "find_read", {"run_id": run_id, "read_index": index, "read_id": named})
        return int(rows[0]["read_index"]) if rows else None

    async def calls_of_read(self, run_id: str, read_index: int, limit: int) -> list[ApiCall]:
        """The requests that asked about a read, oldest first."""
        rows = await self._session.rows("reading", "calls_of_read", {"run_id": run_id, "read_index": read_index, "limit": limit})
        return [call_from_row(row["call"]) for row in rows]

    async def dead_letters(self, run_id: str, limit: int) -> list[DeadLetter]:
        """The last finished first."""
        rows = await self._session.rows("reading", "dead_letters", {"run_id": run_id, "limit": limit})
        return [DeadLetter(**row) for row in rows]

    async def read_reads(self, run_id: str, after_index: int, limit: int) -> list[Read]:
        return [read_from_row(*found) for found in await self._page("read_reads", run_id, after_index, limit, ("truth", "error"))]

    async def read_results(self, run_id: str, after_index: int, limit: int) -> list[ReadResult]:
        return [result_from_row(*found) for found in await self._page("read_results", run_id, after_index, limit, SCORED_SIDES)]

    async def _page(
        self, name: str, run_id: str, after_index: int, limit: int, sides: Sequence[str]
    ) -> list[tuple[dict[str, Any], dict[str, Rows]]]:
        """Rows of ``reads``, each with its rows of ``variant_calls`` by side."""
        sql = statements("reading")

        async def work(transaction: PostgresTransaction) -> tuple[Rows, Rows]:
            page = await transaction.rows(sql[name], {"run_id": run_id, "after_index": after_index, "limit": limit})
            if not page:
                return [], []
            span = {"run_id": run_id, "sides": list(sides), "first": page[0]["read_index"], "last": page[-1]["read_index"]}
            return page, await transaction.rows(sql["variants_of_reads"], span)

        page, found = await self._session.run(work)
        variants: dict[int, dict[str, Rows]] = defaultdict(lambda: {side: [] for side in sides})
        for row in found:
            variants[row["read_index"]][row["side"]].append(row)
        return [(row, variants[row["read_index"]]) for row in page]


def _failures(endings: Rows) -> dict[str, int]:
    found: Counter[str] = Counter()
    for row in endings:
        kind = failure_kind(CallState(row["state"]), row["status"], row["error_kind"])
        if kind is not None:
            found[kind] += int(row["calls"])
    return dict(found.most_common())


def _shown_variant(row: Sequence[Any]) -> ScoredVariant:
    side, pos, ref, alt, kind, outcome, match = row
    return ScoredVariant(side, pos, ref, alt, kind, None, None, outcome, match, None)


def _add_variants(scores: RunScores, row: dict[str, Any]) -> None:
    """Variants that are alike, ``times`` of them. A call has no event."""
    dimension, level, times = DIMENSIONS[row["dimension"]], row["level"], row["times"]
    if level is None:
        return
    alike = ScoredVariant(
        side=row["side"], pos=1, ref="", alt="", type=level, event=None, confidence=None, outcome=row["outcome"],
        match=row["match"], reason=None, detail=row["detail"], off_by=None, baseline=row["baseline"],
    )  # fmt: skip
    if fields := fields_of(alike):
        scores.model.count((dimension, level), fields, times)
    if dimension != "type":
        return
    if beside := fields_of(alike, "baseline"):
        scores.ceiling.count((dimension, level), beside, times)
    if (alike.match, alike.detail) not in (("FN", "near"), ("FN", "allele")):  # what was called in their place is counted by itself
        scores.confusion.update(dict.fromkeys(confused([alike]), times))
