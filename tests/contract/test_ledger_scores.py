"""Scores: counted by the database or added up in Python, over results of every kind, they are the same."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from helix_ray.records import ApiCall, CallState, Disposition, ReadResult
from helix_ray.scoring.scores import RunScores
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.scoring.summary import total
from helix_ray.storage.ledger import Ledger, RunRow
from support.scored_results import comparable, scored_results

RUN_ID, OTHER = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))


@pytest.fixture
async def ledger(empty_ledger: Ledger) -> Ledger:
    for run_id in (RUN_ID, OTHER):
        await empty_ledger.start_run(RunRow(run_id, "n", "{}", "h", 1, {}, None, datetime(2026, 1, 1, tzinfo=UTC), "emulator", True))
    return empty_ledger


def added(results: list[ReadResult]) -> RunScores:
    scores = RunScores(packed=True)
    for result in results:
        scores.add(result)
    return scores


async def test_the_scores_are_those_of_all_results(ledger: Ledger) -> None:
    results = [
        replace(result, call_id=str(uuid.UUID(int=1 + index % 150))) if index % 3 else result
        for index, result in enumerate(scored_results(600))
    ]
    assert (await ledger.write_batch(RUN_ID, results, [])).poisoned == []
    await ledger.write_batch(OTHER, scored_results(40, seed=2), [])
    expected, found = comparable(added(results)), comparable(await ledger.scores(RUN_ID))
    for part, value in expected.items():
        assert found[part] == value, part
    assert found == expected
    assert comparable(added(await ledger.read_results(RUN_ID, -1, 1000))) == expected


async def test_the_levels_of_every_dimension_add_up_to_the_totals(ledger: Ledger) -> None:
    await ledger.write_batch(RUN_ID, scored_results(200, seed=3), [])
    scores = await ledger.scores(RUN_ID)
    whole = total(scores.model.by("type"))
    assert whole.tp > 0
    assert {dimension: total(scores.model.by(dimension)) for dimension in DIMENSIONS if dimension != "event"} == {
        dimension: whole for dimension in DIMENSIONS if dimension != "event"
    }


async def test_a_run_without_reads_has_no_scores(ledger: Ledger) -> None:
    assert comparable(await ledger.scores(RUN_ID)) == comparable(RunScores())


async def test_results_come_back_as_they_were_stored(ledger: Ledger) -> None:
    results = scored_results(300, seed=4)
    await ledger.write_batch(RUN_ID, results, [])
    assert await ledger.read_results(RUN_ID, -1, 1000) == results
    assert await ledger.read_results(RUN_ID, 17, 3) == results[18:21]
    assert await ledger.read_results(RUN_ID, 299, 3) == []


async def test_what_could_not_be_stored_comes_back_as_a_dead_letter_whose_truth_counts_as_missed(ledger: Ledger) -> None:
    good = next(result for result in scored_results(50) if result.exact and result.read.truth and len(result.read.truth) == 1)
    for index, changes in enumerate(({"outcome": "\x00"}, {"raw_answer": "\ud800"})):
        bad = replace(good, read=good.read._replace(read_index=index), **changes)  # type: ignore[arg-type]
        assert [reason for _, reason in (await ledger.write_batch(RUN_ID, [bad], [])).poisoned] != []
    for result in await ledger.read_results(RUN_ID, -1, 10):
        assert (result.disposition, result.error_kind) == (Disposition.DEAD_LETTER, "unstorable")
        assert result.read.truth == good.read.truth
        assert [(row.side, row.match, row.detail, row.off_by, row.baseline) for row in result.variants] == [
            ("truth", "FN", "failed", None, None)
        ]
        assert (result.exact, result.baseline_exact, result.residual_edits, result.leniency) == (None, None, None, ())
    scores = await ledger.scores(RUN_ID)
    assert (total(scores.model.by("type")).fn_failed, scores.ceiling.as_dict()) == (2, {})


async def test_a_repair_is_a_request_that_was_meant(ledger: Ledger) -> None:
    def call(number: int, kind: str, indices: list[int]) -> ApiCall:
        return ApiCall(str(uuid.UUID(int=number)), kind, 1, indices, CallState.ANSWERED, 200, "m")

    calls = [call(1, "analysis", [0, 1]), call(2, "repair", [0]), call(3, "analysis", [1])]
    await ledger.write_batch(RUN_ID, [], calls)
    counts = await ledger.counts(RUN_ID)
    assert (counts.requests, counts.reads_repaid) == (3, 1)
