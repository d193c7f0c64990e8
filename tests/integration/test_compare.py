"""``helix compare`` on stored runs: who is better, what is refused, and what is written."""

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result
from typer.testing import CliRunner

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall
from helix_ray.backends.aligner import aligner_calls
from helix_ray.cli import app
from helix_ray.client import stored as client
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.score import SCORER_VERSION, score_read, with_score
from helix_ray.sources import make_source
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.postgres import PostgresLedger

READS, PACK = 600, 5
START = datetime(2026, 1, 1, tzinfo=UTC)


def told(read: Read, rng: random.Random, missed: float) -> ReadResult:
    """A caller that leaves out the true variants of this share of the reads, and names the others."""
    calls = [] if rng.random() < missed else [RawCall(*variant[:3], 0.9) for variant in read.truth or ()]
    judged = judge_calls(calls, read.ref_seq)
    text = json.dumps({"id": "x", "calls": [{"pos": c.pos, "ref": c.ref, "alt": c.alt, "confidence": 0.9} for c in calls]})
    made = ReadResult(read, Disposition.STORED, mutation_detected=bool(judged), raw_answer=text, finished_at=START)
    return with_score(made, score_read(read, judged, aligner_calls(read)))


@pytest.fixture
def store(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")

    async def write(run_id: str, name: str, missed: float, reads: int, scorer: str, seed: int, changes: dict[str, Any]) -> None:
        config = Config.model_validate({"source": {"count": READS}, **changes, "run": {"seed": seed, "name": name}})
        source, rng, results = make_source(config), random.Random(name), []
        for block in range(reads // config.source.batch_size):
            batch = source.block(block)
            assert batch is not None
            results += [told(read, rng, missed) for read in batch.rows()]
        packed = config.analyzer.reads_per_request > 1
        results = [replace(it, call_id=str(uuid.UUID(int=it.read.read_index // PACK + 1)) if packed else None) for it in results]
        ledger = await PostgresLedger.connect(database_url)
        await ledger.start_run(
            RunRow(run_id, name, config.to_json(), "h", config.run.seed, {"scorer": scorer}, None, START, "emulator", True)
        )
        await ledger.write_batch(run_id, results, [])
        await ledger.aclose()

    def stored(name: str, missed: float, reads: int = READS, scorer: str = SCORER_VERSION, seed: int = 42, **changes: Any) -> str:
        run_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        asyncio.run(write(run_id, name, missed, reads, scorer, seed, changes))
        return run_id

    return stored


@pytest.fixture
def helix(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def invoke(*arguments: str) -> Result:
        monkeypatch.setenv("DATABASE_URL", database_url)  # a command withdraws it from the environment
        return CliRunner().invoke(app, arguments)

    return invoke


def test_the_better_run_is_found_and_everything_is_written(store: Callable[..., str], helix: Callable[..., Result], tmp_path: Path) -> None:
    store("plain", 0.3)
    store("sharp", 0.1, reads=590 // 50 * 50)
    store("older", 0.3, scorer="1", analyzer={"reads_per_request": PACK, "max_completion_tokens": 4096})
    ended = helix("compare", "plain", "sharp", "older", "--out", "out", "--margin", "0.02", "--fail-if", "worse")
    assert ended.exit_code == 6, ended.output
    assert len(ended.output.splitlines()) <= 20
    assert "better" in next(line for line in ended.output.splitlines() if line.startswith(" sharp"))
    assert "50 reads are unfinished in" in ended.output
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert (found["reads"], found["schema"], len(found["rescored"])) == (550, "helix-compare/1", 1)
    assert [run["run_name"] for run in found["runs"]] == ["plain", "sharp", "older"]
    sharp, older = found["pairs"]
    assert sharp["exact"]["difference"] == pytest.approx((sharp["discordant"]["gained"] - sharp["discordant"]["lost"]) / 550)
    assert sharp["f1"]["ci"][0] > 0
    assert sharp["exact"]["verdict"] == sharp["f1"]["verdict"] == "better"
    assert older["exact"]["verdict"] == "undecided"
    assert older["exact"]["more_reads"] > 0
    assert older["exact"]["clusters"] == 550 // PACK
    assert any(level["q"] < 0.05 for level in sharp["levels"])
    assert sum(flip["gained"] - flip["lost"] for flip in sharp["flips"]) > 0
    sums = json.loads((tmp_path / "out/provenance.json").read_text())["sha256"]
    assert {"compare.html", "methods.md", "tables/pairs.csv", "tables/by_type.md", "figures/pareto.svg"} < sums.keys()
    for figure in (tmp_path / "out/figures").iterdir():
        words = "".join(ElementTree.parse(figure).getroot().itertext())
        assert found["fingerprint"] in words, figure
        assert "EMULATOR RESULTS" in words.partition("}")[2], figure
    row = (tmp_path / "out/tables/runs.csv").read_text().splitlines()
    assert row[0].startswith("run_id,run_name,provider,model,prompt,prompt_sha256,task,simulated")
    assert "McNemar" in (tmp_path / "out/methods.md").read_text()
    both = helix("export", "--run", "plain", "--run", "sharp", "--output", "rows")
    assert both.exit_code == 0, both.output
    lines = [json.loads(line) for line in (tmp_path / "rows/reads.jsonl").read_text().splitlines()]
    assert Counter(line["run_name"] for line in lines) == {"plain": 600, "sharp": 550}
    assert not (tmp_path / "rows/summary.csv").exists(), "sums over two runs are of neither"
    assert '"name": "sharp"' in helix("status", "sharp", "--json").output


def test_other_questions_are_refused_by_their_first_difference(store: Callable[..., str], helix: Callable[..., Result]) -> None:
    first = store("first", 0.2, reads=100)
    store("other", 0.2, reads=100, seed=7)
    store("helped", 0.2, reads=100, analyzer={"prompt": "assisted_aligned"})
    refused = helix("compare", first[:8], "other")
    assert "run.seed is 42" in str(refused.exception)
    assert "the task is unassisted" in str(helix("compare", "first", "helped").exception)
    forced = helix("compare", "first", "helped", "--force", "--all-pairs")
    assert forced.exit_code == 0
    assert "the task is unassisted" in forced.output
    assert "are the same run" in str(helix("compare", "first", first).exception)
    assert "no finished read in common" in str(helix("compare", "first", "other", "--common").exception)


def test_columns_of_the_database_are_those_of_scoring_again(
    store: Callable[..., str], helix: Callable[..., Result], tmp_path: Path
) -> None:
    """Also where reads have sequencing errors, which are then differences to be named."""
    source = {"count": READS, "mutation": {"base_error_rate": 0.01}}
    store("stored", 0.0, reads=200, source=source)
    store("again", 0.0, reads=200, source=source, scorer="1")
    ended = helix("compare", "stored", "again", "--out", "out")
    assert ended.exit_code == 0, ended.output
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert len(found["rescored"]) == 1
    first, second = (sorted(it["cells"], key=lambda cell: (cell["dimension"], cell["level"])) for it in found["standings"])
    assert first == second
    assert found["standings"][0]["exact"] == found["standings"][1]["exact"] < 0.6, "the errors were not named"
    assert found["pairs"][0]["discordant"]["gained"] == found["pairs"][0]["discordant"]["lost"] == 0


def test_the_page_tells_what_the_command_tells(
    store: Callable[..., str], helix: Callable[..., Result], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.StoredRuns, "_ask", lambda self, question: with_ledger(Secret(database_url), question))
    ids = [store("plain", 0.3, reads=200), store("sharp", 0.1, reads=200)]
    runs = client.StoredRuns(tmp_path)
    found = runs.compare(*ids)
    assert found is not None
    line = next(line for line in helix("compare", *ids).output.splitlines() if line.startswith(" sharp"))
    assert found.difference in line
    assert found.verdict == "better"
    assert "better" in line
    assert runs.compare(ids[0], str(uuid.uuid4())) is None
    monkeypatch.setattr(client, "COMPARED_READS", 399)
    with pytest.raises(ConfigError, match="the two have 400 reads, the page compares at most 399"):
        runs.compare(*ids)


def test_a_dry_run_takes_the_share_of_discordant_reads_from_two_pilots(store: Callable[..., str], helix: Callable[..., Result]) -> None:
    store("plain", 0.3, reads=200)
    store("sharp", 0.1, reads=200)
    assert helix("compare", "plain", "sharp", "--out", "out").exit_code == 0
    split = json.loads(Path("out/compare.json").read_text())["pairs"][0]["discordant"]
    share = (split["gained"] + split["lost"]) / 200
    planned = helix("run", "--dry-run", "--difference", "0.02", "--pilot", "plain", "sharp")
    said = helix("run", "--dry-run", "--difference", "0.02", "--discordant", str(share))
    assert planned.exit_code == 0, planned.output
    assert 0.1 < share < 0.4, "and not the default"
    assert planned.output == said.output
    assert "one of the two" in str(
        helix("run", "--dry-run", "--difference", "0.02", "--pilot", "plain", "sharp", "--discordant", "0.2").exception
    )
