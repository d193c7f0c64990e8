"""Whether any read ever gets another read's calls: a whole run whose packed answers have their ids tampered with.

    .venv/bin/python benchmarks/check_packed_ids.py [READS]

Default: 10,000 reads, five a request, about two minutes on two cores. In a fifth of the answers the emulator shuffles, drops, repeats or
invents ids. Each stored read's calls are then compared with those that the emulator noted for that very read. Ends with 1 when one
of them differs, or when a read is lost.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

import psycopg

from harness import Run, argument, print_table, started_run
from helix_ray.analysis.prompts import opaque_id
from helix_ray.analysis.read_answer import ReadAnswer, reread_answer
from helix_ray.storage.embedded import embedded_url, stop

FAULTS = ("shuffle_ids", "drop_id", "repeat_id", "invent_id")
RATE = 0.055
"""Of each of four: 20 % of the answers have one at least."""

STORED = """
select read.read_index, call.provider_request_id, read.raw_answer
from helix.reads as read join helix.api_calls as call using (call_id)
where read.run_id = %s and read.disposition = 'stored'
"""


def main() -> None:
    reads = argument(__doc__, "READS", 10_000)
    settings = (
        f"source.count={reads}",
        "analyzer.reads_per_request=5",
        "analyzer.max_completion_tokens=2048",
        "emulator.tier=unlimited",
        "emulator.latency_scale=0",
        "ray.dashboard=false",
        "throttle.max_cost_usd=1000",
        *(f"emulator.faults.{fault}={RATE}" for fault in FAULTS),
    )
    with started_run(*settings) as run:
        report = run.watch()
        noted, summary = noted_calls(run), run.emulator_summary()
        with psycopg.connect(embedded_url(run.home)) as connection:
            rows = connection.execute(STORED, (report["run_id"],)).fetchall()
        stop(run.home)  # this process's hold on it
    wrong = sum(calls_of(answer) != noted.get((request, opaque_id(report["run_id"], index))) for index, request, answer in rows)
    print_table(
        ["reads", "stored", "dead letters", "lost", "repairs", "answers with a fault", "requests", "reads with other calls"],
        [
            [
                reads,
                len(rows),
                report["dead_letters"],
                report["lost"],
                report["repairs"],
                sum(summary["faults"].values()),
                report["requests"],
                wrong,
            ]
        ],
    )
    sys.exit(bool(wrong or report["lost"] or len(rows) + report["dead_letters"] != reads))


def calls_of(answer: str) -> list[list[Any]]:
    read = reread_answer(answer)
    assert isinstance(read, ReadAnswer), read
    return [list(call[:3]) for call in read.calls]


def noted_calls(run: Run) -> dict[tuple[str, str], Any]:
    """What the emulator noted, by request and opaque id."""
    found = run.run_file()
    assert found, "the run is not live"
    noted: dict[tuple[str, str], Any] = {}
    offset, total = 0, 1
    while offset < total:
        with urllib.request.urlopen(f"{found['emulator_url']}/_ctl/reads?offset={offset}&limit=5000", timeout=30) as reply:
            page = json.loads(reply.read())
        noted |= {(entry["request_id"], entry["id"]): entry["calls"] for entry in page["entries"]}
        offset, total = page["next_offset"], page["total"]
    return noted


if __name__ == "__main__":
    main()
