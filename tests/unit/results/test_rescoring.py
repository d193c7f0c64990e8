"""Stored answers scored again: the same scores, or the reads that are stored otherwise."""

from dataclasses import replace

from helix_ray.backends.aligner import aligner_calls
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.results.accuracy import accuracy, ceiling
from helix_ray.results.rescoring import Rescoring, rescored
from helix_ray.results.table import accuracy_table
from helix_ray.scoring.score import score_read, with_score
from helix_ray.scoring.scores import RunScores
from helix_ray.storage.integrity import as_unstorable
from support.scored_results import answered, comparable, scored_results


def reads() -> list[Read]:
    return [result.read for result in scored_results(60, seed=5) if result.read.disposition is None]


def test_what_was_just_scored_is_scored_alike() -> None:
    stored = [answered(read) for read in reads()]
    first = stored[0].read
    calls = aligner_calls(first)
    aligned, refused = score_read(first, calls, calls), score_read(first, None, calls)
    stored += [
        with_score(ReadResult(first, Disposition.DEAD_LETTER, error_kind="refused"), refused),
        with_score(ReadResult(first, Disposition.STORED, mutation_detected=bool(calls), model="aligner"), aligned),
        ReadResult(first._replace(disposition=Disposition.UNPLACED, truth=None), Disposition.UNPLACED),
        as_unstorable(stored[1], "why"),
    ]
    again, before = Rescoring(), RunScores()
    again.add(stored)
    for result in stored:
        before.add(result)
    assert again.differences == []
    assert (again.reads, comparable(again.scores)) == (len(stored), comparable(before))


def test_a_read_that_is_stored_otherwise_is_named() -> None:
    one, two, three = (answered(read) for read in reads()[:3])
    again = Rescoring()
    wrong = [row._replace(detail=None) for row in two.variants]
    again.add([one, replace(two, variants=wrong, residual_edits=999), replace(three, raw_answer="no JSON")])
    assert [(found.read_index, found.what.split(":")[0]) for found in again.differences] == [
        (two.read.read_index, "variants, residual_edits"),
        (three.read.read_index, "its answer cannot be read any more"),
    ]
    now = rescored(two)
    assert now == two


def test_the_baseline_is_asked_again() -> None:
    read = next(read for read in reads() if read.truth and aligner_calls(read))
    stored = answered(read)
    again = Rescoring()
    again.add([replace(stored, variants=[row for row in stored.variants if row.side != "baseline"])])
    assert "variants" in again.differences[0].what


def test_the_table_has_both_sides_and_the_ceiling() -> None:
    scores = RunScores()
    for result in map(answered, reads()):
        scores.add(result)
    table = accuracy_table("Stored answers", accuracy(scores), ceiling(scores), simulated=True)
    columns = {str(column.header): list(column.cells) for column in table.columns}
    assert str(table.title) == "Stored answers [EMULATOR]"
    assert columns["type"][-1] == "ALL"
    assert "INVALID" in columns["type"]
    assert not str(columns["right / called"][-1]).startswith("0")
    assert all(cell == "–" or 0 <= float(str(cell)) <= 1 for cell in columns["ceiling"])
