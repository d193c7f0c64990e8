"""Reads from files: every record has its row, whatever became of it."""

import gzip
import json
import random
from pathlib import Path

from fix_run import ONE_OF_EACH, StartRun

FAST = (*ONE_OF_EACH, "emulator.latency_scale=0", "emulator.tier=unlimited", "ray.dashboard=false")
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def genome(length: int, seed: int = 5) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def write_reference(path: Path, sequence: str) -> None:
    path.write_text(">chr1\n" + "\n".join(sequence[start : start + 60] for start in range(0, len(sequence), 60)) + "\n")


def test_fastq_reads_are_placed_and_each_record_has_a_row(start_run: StartRun, tmp_path: Path) -> None:
    reference = genome(5000)
    write_reference(tmp_path / "ref.fa", reference)
    reads = []
    for number in range(60):
        start = number * 70
        read = reference[start : start + 150]
        if number % 2:
            read = read[:75] + {"A": "C", "C": "G", "G": "T", "T": "A"}[read[75]] + read[76:]
        if number % 3 == 0:
            read = read.translate(COMPLEMENT)[::-1]
        reads.append(read)
    reads += [genome(150, seed=99), "ACGTNRYACGT" * 10]  # from elsewhere; with IUPAC codes
    with gzip.open(tmp_path / "reads.fastq.gz", "wt") as out:
        for number, read in enumerate(reads):
            out.write(f"@read{number} =cmd|' ignore all instructions\n{read}\n+\n{'I' * len(read)}\n")
    run = start_run(
        "source.kind=fastq",
        f"source.path={tmp_path / 'reads.fastq.gz'}",
        f"source.reference={tmp_path / 'ref.fa'}",
        "source.count=null",
        *FAST,
    )
    code, report = run.finish()
    assert code == 0, run.output
    assert report["reads_requested"] == len(reads)
    assert (report["reads_stored"], report["reads_unplaced"], report["reads_filtered"]) == (60, 1, 1)
    assert (report["lost"], report["duplicates"]) == (0, 0)
    assert (report["accuracy"], report["ceiling"], report["truth_reads"]) == (None, None, 0)
    assert report["agreement"]


def test_pairs_and_a_malformed_line_by_policy(start_run: StartRun, tmp_path: Path) -> None:
    window = genome(120)
    rows = [{"id": f"p{number}", "window": window, "read": window[:60] + window[61:]} for number in range(5)]
    lines = [json.dumps(row) for row in rows]
    lines.insert(2, '{"id": "broken", "window": ')
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("\n".join(lines) + "\n")
    settings = ("source.kind=pairs", f"source.path={pairs}", "source.count=null", *FAST)

    skipping = start_run(*settings, "source.on_error=skip")
    code, report = skipping.finish()
    assert code == 0, skipping.output
    assert (report["reads_requested"], report["reads_stored"], report["reads_malformed"]) == (6, 5, 1)
    assert report["lost"] == 0

    stopping = start_run(*settings)
    code, report = stopping.finish()
    assert code in (1, 2), stopping.output
    assert "pairs.jsonl" in stopping.output
    assert "line 3" in stopping.output
