"""``--dry-run`` against the run that it predicts: cost and time within a tenth."""

import pytest

from fix_run import StartRun

TOKEN_BOUND = (
    "source.count=300",
    "emulator.requests_per_minute=null",
    "emulator.tokens_per_minute=150000",  # about 90,000 tokens beyond the full bucket: 37 s
    "ray.dashboard=false",
)


def test_cost_and_time_are_within_a_tenth_of_the_run(start_run: StartRun) -> None:
    dry = start_run(*TOKEN_BOUND, args=["--dry-run"], env={"GROQ_API_KEY": "", "DATABASE_URL": ""})
    code, forecast = dry.finish()
    assert code == 0, dry.output
    assert not (dry.home / "run.json").exists()
    assert not (dry.home / "postgres").exists()
    (service,) = forecast["services"]
    assert service["binding"] == "TPM"

    run = start_run(*TOKEN_BOUND)
    code, report = run.finish()
    assert code == 0, run.output
    assert forecast["requests"]["total"] == report["requests"] == 300
    assert forecast["cost_usd"]["expected"] == pytest.approx(report["cost_usd"], rel=0.1)
    assert service["seconds"] == pytest.approx(report["duration_s"], rel=0.1)
    assert report["cost_usd"] < forecast["cost_usd"]["worst"]

    rest = start_run(args=["--dry-run", "--resume", report["run_id"]])
    code, nothing_left = rest.finish()
    assert code == 0, rest.output
    assert nothing_left["resumes"] == {"run_id": report["run_id"], "reads_done": 300, "cost_usd": report["cost_usd"]}
    assert (nothing_left["records"]["planned"], nothing_left["cost_usd"]["expected"]) == (0, 0)
