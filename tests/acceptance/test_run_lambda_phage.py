"""Real reads: the lambda phage of Debian's package bowtie2-examples, through configs/fastq.yaml as a user runs it."""

import gzip
from pathlib import Path

import pytest
import yaml

from fix_run import StartRun

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "fastq.yaml"


@pytest.mark.debian
def test_every_lambda_phage_record_has_its_row(start_run: StartRun) -> None:
    source = yaml.safe_load(CONFIG.read_text())["source"]
    path = Path(source["path"])
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        records = sum(1 for _ in lines) // 4
    run = start_run("emulator.tier=unlimited", "emulator.latency_scale=0", "throttle.max_cost_usd=50", "ray.dashboard=false", config=CONFIG)
    code, report = run.finish(600)
    assert code == 0, run.output
    assert report["reads_requested"] == records
    rows = [report[key] for key in ("reads_stored", "dead_letters", "reads_unplaced", "reads_filtered", "reads_malformed")]
    assert sum(rows) == records
    assert report["reads_stored"] > 0.5 * records
    assert (report["lost"], report["duplicates"]) == (0, 0)
