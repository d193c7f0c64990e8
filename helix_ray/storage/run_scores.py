"""The scores of a run, counted by the database: equal to `RunScores.add` over all its results, without moving any of them."""

from __future__ import annotations

from collections import Counter
from math import inf, nextafter
from typing import Any, Final

from helix_ray.records import ScoredVariant
from helix_ray.scoring.scores import NOTHING, RunScores, confused
from helix_ray.scoring.statistics import Profile
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.scoring.summary import ALL
from helix_ray.scoring.tally import ReadCounts, fields_of
from helix_ray.storage.postgres_session import PostgresSession, PostgresTransaction
from helix_ray.storage.statements import statements


def _threshold(hundredth: int) -> float:
    """The least confidence that ``round(confidence, 2)`` makes ``hundredth``: PostgreSQL rounds halves another way."""
    half = (2 * hundredth - 1) / 200
    return half if round(half, 2) == hundredth / 100 else nextafter(half, inf)


THRESHOLDS: Final = [_threshold(hundredth) for hundredth in range(1, 101)]


class ScoreReading:
    """`Ledger.scores`."""

    _session: PostgresSession

    async def scores(self, run_id: str) -> RunScores:
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
            for row in await transaction.rows(sql["profiles"], key):
                profile = Profile(row["tp"], row["fn"], row["query_tp"], row["fp"])
                found.profiles.setdefault(row["type"] or ALL, Counter())[profile] += row["reads"]
            (whole,) = await transaction.rows(sql["reads"], key)
            found.reads = ReadCounts(**whole)
            found.outcomes.update({row["outcome"]: row["calls"] for row in await transaction.rows(sql["outcomes"], key)})
            found.leniency.update({row["overlooked"]: row["reads"] for row in await transaction.rows(sql["leniency"], key)})
            await transaction.rows(sql["group_by_hash"])
            for row in await transaction.rows(sql["counts"], key):
                _add_variants(found, row)
            return found

        return await self._session.run(work)


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
