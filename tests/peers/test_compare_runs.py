"""Whole runs of scripted callers whose difference is known, compared as a user does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fix_run import ONE_OF_EACH, StartRun, helix

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]

READS = 400
CALLERS = {"careful": (1, 0.05), "careless": (2, 0.30), "twin": (3, 0.05)}
"""Seed of the emulator, and the share of true variants that it leaves out: the source is the same."""


def test_the_known_difference_is_found_and_no_other(start_run: StartRun, database_url: str, tmp_path: Path) -> None:
    for name, (seed, drop) in CALLERS.items():
        run = start_run(
            *ONE_OF_EACH,
            f"run.name={name}",
            f"source.count={READS}",
            f"emulator.seed={seed}",
            f"emulator.error_rates={{drop: {drop}, shift: 0, hallucinate: 0.05}}",
            "emulator.latency_scale=0.1",
            "ray.dashboard=false",
        )
        code, _ = run.finish()
        assert code == 0, run.output

    def compared(first: str, second: str, margin: float = 0.01) -> tuple[int, str, dict[str, Any]]:
        out = tmp_path / f"{first}-{second}-{margin}"
        told = helix(
            run.home, "compare", first, second, "--margin", str(margin), "--fail-if", "worse", "--out", str(out), DATABASE_URL=database_url
        )
        assert (out / "compare.html").stat().st_size > 10_000, told.stdout + told.stderr
        found = json.loads((out / "compare.json").read_text())
        assert found["reads"] == READS
        return (
            told.returncode,
            next(line for line in told.stdout.splitlines() if line.strip().startswith(second)),
            found["pairs"][0]["exact"],
        )

    code, line, exact = compared("careless", "careful")
    assert (code, "better" in line, exact["verdict"]) == (0, True, "better"), line
    assert exact["ci"][0] > 0.1
    code, line, exact = compared("careful", "careless")
    assert (code, "worse" in line) == (6, True), line
    assert exact["ci"][1] < -0.1
    code, line, exact = compared("careful", "twin")
    assert exact["verdict"] in ("equivalent", "undecided"), line
    assert code == (6 if exact["ci90"][0] < -0.01 else 0)
    code, line, exact = compared("careful", "twin", margin=0.2)
    assert (code, exact["verdict"], "equivalent" in line) == (0, "equivalent", True), line
