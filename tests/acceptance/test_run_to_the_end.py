"""Whole runs that end by themselves."""

import subprocess
import sys
from pathlib import Path

from fix_run import DEADLINE_S, ONE_OF_EACH, StartRun


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
    assert report["status"] == "complete"
    assert (report["reads_requested"], report["reads_produced"], report["reads_stored"]) == (2000, 2000, 2000)
    assert (report["lost"], report["duplicates"], report["dead_letters"]) == (0, 0, 0)
    assert (report["requests"], report["cost_usd"], report["simulated"]) == (0, 0, False)
    assert report["accuracy"]["ALL"]["tp"] == 2000
    assert report["accuracy"]["ALL"]["recall"] == 1.0
    counted = ("tp", "fn", "query_tp", "fp", "f1")
    own, ceiling = ({kind: [row[key] for key in counted] for kind, row in report[name].items()} for name in ("accuracy", "ceiling"))
    assert own == ceiling


def test_a_spent_budget_stops_the_run_below_the_cap_and_the_queue_was_full_to_its_bound(start_run: StartRun) -> None:
    run = start_run(
        "analyzer.workers=1",
        "source.count=50000",
        "throttle.max_cost_usd=0.01",
        "emulator.latency_scale=0",
        "emulator.tier=unlimited",
        "ray.dashboard=false",
    )
    code, report = run.finish()
    assert code == 3, run.output
    assert report["status"] == "limited"
    assert "budget" in report["reason"]
    assert 0.008 < report["cost_usd"] <= 0.01
    assert report["lost"] == 0
    assert report["resume_command"].endswith(f"--resume {report['run_id']} --set throttle.max_cost_usd=0.02")
    assert report["resume_command"] in run.output
    assert report["max_queue_depth"] == 500
    assert report["blocked_seconds"] > 0
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
