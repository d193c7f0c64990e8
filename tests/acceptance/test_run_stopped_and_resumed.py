"""Ctrl-C, SIGTERM and resumption: nothing lost, nothing stored twice."""

import csv
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fix_run import StartRun, helix

READS = 500
# The emulator answers the first 300 at once, then five a second: the first run cannot end before it is stopped. The second has
# an emulator of its own, which answers the fewer than 300 that are left at once.
PACED = (
    f"source.count={READS}",
    "analyzer.workers=1",
    "emulator.requests_per_minute=300",
    "emulator.latency_scale=0",
    "ray.dashboard=false",
)


def test_first_ctrl_c_drains_and_the_printed_command_completes(start_run: StartRun) -> None:
    """While the first runs, a second is refused. Between the first and the resumption, a change of what defines the results is
    refused, and spoils nothing.
    """
    first = start_run(*PACED, embedded=True)
    first.wait_for_output("RUNNING: ")
    first.wait_until("enough answers", lambda run: run.emulator("summary")["answers"]["reads"] > 220)
    beside = start_run("source.count=10", embedded=True)
    code, _ = beside.finish()
    assert code == 2, beside.output
    assert "live" in beside.output
    first.interrupt()
    code, report = first.finish()
    assert code == 130, first.output
    assert report["status"] == "stopped"
    assert report["lost"] == 0
    assert report["reads_handed_back"] > 0
    assert report["resume_command"] in first.output
    assert json.loads((first.home / "reports" / f"{report['run_id']}.json").read_text()) == report

    changed = start_run(*PACED, "run.seed=7", args=["--resume", report["run_id"]], embedded=True)
    code, _ = changed.finish()
    assert code == 2
    assert "run.seed: was 42, is 7" in changed.output

    second = start_run(pasted=report["resume_command"], embedded=True)
    code, resumed = second.finish()
    assert code == 0, second.output
    assert resumed["run_id"] == report["run_id"]
    assert (resumed["reads_requested"], resumed["reads_stored"]) == (READS, READS)
    assert (resumed["lost"], resumed["duplicates"], resumed["dead_letters"]) == (0, 0, 0)
    assert resumed["requests"] - resumed["http_429"] == READS
    assert resumed["reads_repaid"] == 0
    assert resumed["cost_usd"] > report["cost_usd"] > 0
    assert (resumed["status"], resumed["resume_command"], resumed["simulated"]) == ("complete", None, True)
    assert "EMULATOR" in second.output
    the_report_adds_up(resumed)
    the_stored_reads_are_exported_as_they_were_generated(second.home, report["run_id"])
    the_exported_results_add_up_to_the_report(second.home.parent / "stored", resumed["accuracy"])
    nothing_left = helix(second.home, "run", "--resume", "last")
    assert (nothing_left.returncode, f"Run {report['run_id']} is complete" in nothing_left.stdout) == (0, True), nothing_left.stderr
    assert "Ray" not in nothing_left.stdout
    assert json.loads((second.home / "reports" / f"{report['run_id']}.json").read_text()) == resumed


def the_report_adds_up(report: dict[str, Any]) -> None:
    counts = report["accuracy"]
    assert counts.keys() >= {"SNV", "INS", "DEL"}
    assert all(0 < row["recall"] <= 1 and row["tp"] + row["fn"] > 0 for row in counts.values() if row["tp"])
    assert report["ceiling"]["ALL"]["f1"] > 0.99, "the generator's reads can be told from their windows, and the aligner tells them"
    assert report["ceiling"]["ALL"]["tp"] + report["ceiling"]["ALL"]["fn"] == counts["ALL"]["tp"] + counts["ALL"]["fn"]
    assert (report["truth_reads"], report["agreement"]) == (READS, None)
    assert 0.95 <= report["identifiable_reads"] / READS <= 1


def the_stored_reads_are_exported_as_they_were_generated(home: Path, run_id: str) -> None:
    config = str(Path(__file__).parents[2] / "configs" / "demo.yaml")
    for arguments in (["--output", "stored"], ["--output", "generated", "--config", config, "--set", f"source.count={READS}"]):
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
    assert [line["read_index"] for line in lines] == list(range(READS))
    assert sum(row["match"] == "FN" for line in lines for row in line["variants"]) == counts["ALL"]["fn"]


def test_sigterm_drains_and_a_second_signal_stops_at_once_and_says_what_may_be_billed(start_run: StartRun) -> None:
    # the first request is sent alone, to learn the limits, and is answered; the others are not
    silence = "emulator.script=[{request: 2, last: 100000, fault: hang_before, seconds: 300}]"
    run = start_run("source.count=5000", "source.producers=1", "emulator.latency_scale=0", silence, "ray.dashboard=false")
    run.wait_for_output("RUNNING: ")
    run.wait_until("answers on their way", lambda live: live.status()["throttle"]["in_flight"] > 1)
    run.terminate()  # drains like Ctrl-C
    run.wait_for_output("Ending:")
    asked_again = time.monotonic()
    run.interrupt()
    code, report = run.finish()
    assert time.monotonic() - asked_again < 10  # the promise is 5 s; a loaded machine ends Ray's processes slowly
    assert code == 130, run.output
    assert report["status"] == "stopped"
    assert report["lost"] == 0
    assert report["reads_handed_back"] > 0
    assert 0 < report["possibly_billed"] <= 64  # two workers with 32 requests each
    assert report["resume_command"] in run.output
