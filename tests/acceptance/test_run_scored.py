"""A whole run against the emulator's own ledger, read by read, and its live numbers against the database."""

from collections import Counter
from dataclasses import asdict
from typing import Any

import psycopg
import pytest

from fix_run import Run, StartRun, helix
from helix_ray.analysis.prompts import opaque_id
from helix_ray.analysis.read_answer import ReadAnswer, reread_answer
from helix_ray.environment.secrets import Secret
from helix_ray.records import Disposition, ReadResult
from helix_ray.scoring.scores import RunScores
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.scoring.summary import total
from helix_ray.scoring.tally import Counts
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import Ledger
from support.scored_results import comparable

READS = 2000
ID_FAULTS = ("shuffle_ids", "drop_id", "repeat_id", "invent_id")


@pytest.fixture
def held(start_run: StartRun) -> Run:
    """Complete and still alive; every fifth packed answer has its ids shuffled, dropped, repeated or invented."""
    run = start_run(
        f"source.count={READS}",
        "source.producers=1",
        "analyzer.reads_per_request=5",
        "analyzer.max_completion_tokens=2048",
        "emulator.tier=unlimited",
        "emulator.latency_scale=0",
        "ray.dashboard=false",
        *(f"emulator.faults.{fault}=0.055" for fault in ID_FAULTS),
        args=["--hold"],
        embedded=True,
    )
    run.wait_for_report()
    return run


def ledger_of(run: Run) -> dict[tuple[str, str], dict[str, Any]]:
    """What the emulator answered, by request and opaque id: its own record of its own mistakes."""
    entries = dict[tuple[str, str], dict[str, Any]]()
    offset, wanted = 0, 1
    while offset < wanted:
        page = run.emulator(f"reads?offset={offset}&limit=1000")
        entries |= {(entry["request_id"], entry["id"]): entry for entry in page["entries"]}
        offset, wanted = page["next_offset"], page["total"]
    return entries


def test_every_read_is_scored_as_the_emulator_answered_it(held: Run) -> None:
    report = held.wait_for_report()
    entries = ledger_of(held)
    url = helix(held.home, "db", "url", "--database-url-only").stdout.strip()
    scores, results = with_ledger(Secret(url), lambda ledger: everything(ledger, report["run_id"]))
    with psycopg.connect(url) as connection:
        rows = connection.execute("select call_id::text, provider_request_id from helix.api_calls where run_id = %s", (report["run_id"],))
        request_ids = dict(rows.fetchall())

    assert len(results) == READS
    asked = set(request_ids.values())
    damaged = {request for (request, _), entry in entries.items() if entry["fault"] is not None and request in asked}
    assert len(damaged) > 50, "the faults were there"
    expected: Counter[str] = Counter()
    for result in results:
        if result.disposition is not Disposition.STORED:
            expected["fn_failed"] += len(result.read.truth or ())
            continue
        entry = entries[request_ids[str(result.call_id)], opaque_id(report["run_id"], result.read.read_index)]
        answer = reread_answer(str(result.raw_answer))
        assert isinstance(answer, ReadAnswer)
        assert [list(call[:3]) for call in answer.calls] == entry["calls"], "these are another read's calls"
        assert tally(result) == (
            entry["true_calls"] - entry["dropped"] - entry["shifted"],
            entry["dropped"] + entry["shifted"],
            entry["shifted"] + entry["hallucinated"],
        ), result
        expected.update({name: entry[name] for name in ("true_calls", "dropped", "shifted", "hallucinated")})

    counts = total(scores.model.by("type"))
    assert counts.tp == expected["true_calls"] - expected["dropped"] - expected["shifted"]
    assert counts.fn - counts.fn_failed == expected["dropped"] + expected["shifted"]
    assert counts.fp == expected["shifted"] + expected["hallucinated"]
    assert counts.fn_failed == expected["fn_failed"]
    assert report["accuracy"]["ALL"]["tp"] == counts.tp
    assert report["lost"] == 0
    assert report["reads_repaid"] == 0, "a repair is asked on purpose"

    offline = RunScores(packed=True)
    for result in results:
        offline.add(result)
    assert comparable(offline) == comparable(scores)
    live = held.status()  # after the end: --hold keeps the metrics up
    assert (live["state"], live["run"]["run_id"], live["run"]["simulated"]) == ("COMPLETE", report["run_id"], True)
    assert held.process.poll() is None, held.output
    assert levels(live["accuracy"]) == scores.model.by("type")
    assert levels(live["all_differences"]) == scores.all_differences.by("type")
    assert levels(live["ceiling"]) == scores.ceiling.by("type")
    assert {stratum["dimension"]: levels(stratum["levels"]) for stratum in live["strata"]} == {
        dimension: scores.model.by(dimension) for dimension in DIMENSIONS if dimension != "type"
    }
    assert {key: count for key, count in live["read_sums"].items() if count} == {
        key: count for key, count in asdict(scores.reads).items() if count
    }
    assert dict(live["off_by"]) == dict(scores.off_by)

    again = helix(held.home, "rescore", "--run", report["run_id"])
    assert again.returncode == 0, again.stdout + again.stderr


def levels(rows: list[dict[str, Any]]) -> dict[str, Counts]:
    return {row["level"]: Counts(**{name: count for name, count in row.items() if name != "level"}) for row in rows}


def tally(result: ReadResult) -> tuple[int, int, int]:
    """Truths found, truths not found, false calls."""
    kinds = Counter((row.side, row.match) for row in result.variants)
    return kinds["truth", "TP"], kinds["truth", "FN"], kinds["call", "FP"]


async def everything(ledger: Ledger, run_id: str) -> tuple[RunScores, list[ReadResult]]:
    results: list[ReadResult] = []
    while batch := await ledger.read_results(run_id, results[-1].read.read_index if results else -1, 500):
        results += batch
    return await ledger.scores(run_id), results
