"""Whole runs that end by themselves."""

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from fix_run import DEADLINE_S, ONE_OF_EACH, StartRun, helix

FAST = ("emulator.latency_scale=0", "emulator.tier=unlimited", "ray.dashboard=false")


def test_every_read_is_stored_once_and_the_report_adds_up(start_run: StartRun) -> None:
    run = start_run("source.count=300", *FAST)
    code, report = run.finish()
    assert code == 0, run.output
    assert report["status"] == "complete"
    assert (report["reads_requested"], report["reads_produced"], report["reads_stored"]) == (300, 300, 300)
    assert (report["lost"], report["duplicates"], report["dead_letters"]) == (0, 0, 0)
    assert report["requests"] == 300
    assert report["simulated"] is True
    assert report["cost_usd"] > 0
    assert report["resume_command"] is None
    assert "EMULATOR" in run.output
    counts = report["accuracy"]
    assert counts.keys() >= {"SNV", "INS", "DEL"}
    assert all(0 < row["recall"] <= 1 and row["tp"] + row["fn"] > 0 for row in counts.values() if row["tp"])
    assert report["ceiling"]["ALL"]["f1"] > 0.99, "the generator's reads can be told from their windows, and the aligner tells them"
    assert report["ceiling"]["ALL"]["tp"] + report["ceiling"]["ALL"]["fn"] == counts["ALL"]["tp"] + counts["ALL"]["fn"]
    assert (report["truth_reads"], report["agreement"]) == (300, None)
    assert 0.95 <= report["identifiable_reads"] / 300 <= 1
    stored = json.loads((run.home / "reports" / f"{report['run_id']}.json").read_text())
    assert stored == report
    the_stored_reads_are_exported_as_they_were_generated(run.home, report["run_id"])
    the_exported_results_add_up_to_the_report(run.home.parent / "stored", counts)


def the_stored_reads_are_exported_as_they_were_generated(home: Path, run_id: str) -> None:
    config = str(Path(__file__).parents[2] / "configs" / "demo.yaml")
    for arguments in (["--output", "stored"], ["--output", "generated", "--config", config, "--set", "source.count=300"]):
        done = helix(home, "export", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("EMULATOR" in done.stdout) is ("--config" not in arguments)
    folder = home.parent
    assert json.loads((folder / "stored" / "manifest.json").read_text())["run_id"] == run_id
    for name in ("reads.fastq.gz", "reference.fa", "regions.bed"):
        assert (folder / "stored" / name).read_bytes() == (folder / "generated" / name).read_bytes()
    truths = [gzip.decompress((folder / name / "truth.vcf.gz").read_bytes()).splitlines()[2:] for name in ("stored", "generated")]
    assert truths[0] == truths[1], "but for the line that names the run"


def the_exported_results_add_up_to_the_report(folder: Path, counts: dict[str, dict[str, int]]) -> None:
    with (folder / "summary.csv").open(newline="") as file:
        summary = {(row["Type"], row["Filter"]): row for row in csv.DictReader(file)}
    indels = [counts[kind] for kind in ("INS", "DEL", "DELINS") if kind in counts]
    found = summary["INDEL", "ALL"]
    for column, key in (("TRUTH.TP", "tp"), ("TRUTH.FN", "fn"), ("QUERY.FP", "fp")):
        assert int(found[column]) == sum(row[key] for row in indels)
    assert {row["Simulated"] for row in summary.values()} == {"true"}
    truths = [row for row in pq.read_table(folder / "variant_calls.parquet").to_pylist() if row["side"] == "truth"]
    assert sum(row["match"] == "TP" for row in truths) == counts["ALL"]["tp"]
    lines = [json.loads(line) for line in (folder / "reads.jsonl").read_text().splitlines()]
    assert [line["read_index"] for line in lines] == list(range(300))
    assert sum(row["match"] == "FN" for line in lines for row in line["variants"]) == counts["ALL"]["fn"]


def test_the_aligner_needs_no_api_and_finds_lone_variants(start_run: StartRun) -> None:
    run = start_run(
        *ONE_OF_EACH,
        "analyzer.backend=aligner",
        "source.count=2000",
        "source.mutation.variants_per_read=[0, 1]",
        "ray.dashboard=false",
    )
    code, report = run.finish()
    assert code == 0, run.output
    assert (report["reads_stored"], report["lost"], report["duplicates"]) == (2000, 0, 0)
    assert (report["requests"], report["cost_usd"], report["simulated"]) == (0, 0, False)
    assert report["accuracy"]["ALL"]["tp"] == 2000
    assert report["accuracy"]["ALL"]["recall"] == 1.0
    counted = ("tp", "fn", "query_tp", "fp", "f1")
    own, ceiling = ({kind: [row[key] for key in counted] for kind, row in report[name].items()} for name in ("accuracy", "ceiling"))
    assert own == ceiling


def test_a_spent_budget_stops_the_run_below_the_cap(start_run: StartRun) -> None:
    run = start_run("source.count=2000", "throttle.max_cost_usd=0.01", *FAST)
    code, report = run.finish()
    assert code == 3, run.output
    assert report["status"] == "limited"
    assert "budget" in report["reason"]
    assert 0.008 < report["cost_usd"] <= 0.01
    assert report["lost"] == 0
    assert report["resume_command"]
    assert report["resume_command"] in run.output


def test_a_limited_run_fills_the_queue_to_its_bound_and_blocks(start_run: StartRun) -> None:
    run = start_run(
        "source.count=50000",
        "run.max_duration_s=6",
        "emulator.requests_per_minute=600",
        "emulator.latency_scale=0",
        "ray.dashboard=false",
    )
    code, report = run.finish()
    assert code == 3, run.output
    assert "max_duration_s" in report["reason"]
    assert report["max_queue_depth"] == 500
    assert report["blocked_seconds"] > 0
    assert report["lost"] == 0
    assert report["reads_handed_back"] > 0


def test_installed_command_and_module_are_the_same(tmp_path: Path) -> None:
    outputs = [
        subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=DEADLINE_S).stdout
        for command in (
            [sys.executable, "-m", "helix_ray.run", "--help"],
            [sys.executable, "-c", "from helix_ray.cli import main; main()", "run", "--help"],
        )
    ]
    for text in outputs:
        for word in ("--resume", "--set", "--report", "--hold", "--accept-changes", "Exit codes"):
            assert word in text
