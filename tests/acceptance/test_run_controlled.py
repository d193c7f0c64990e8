"""A second terminal: status, pause, resume, spike, drain."""

from typing import Any

from fix_run import ONE_OF_EACH, StartRun, helix
from support.imported import HEAVY, PROFILED, imported


def bounds_of(status: dict[str, Any]) -> tuple[int, float]:
    """Requests in flight of the one analyzer, and the cost cap in US dollars."""
    return status["slots"], status["money"]["max_cost_usd"]


def test_a_live_run_is_seen_paused_resumed_and_drained(start_run: StartRun) -> None:
    run = start_run(*ONE_OF_EACH, "source.count=null", "source.rate_per_s=20", "emulator.latency_scale=0", "ray.dashboard=false")
    run.wait_for_stored_reads()
    seen = run.status()
    assert seen["state"] == "RUNNING"
    assert seen["run"]["simulated"] is True
    shown = helix(run.home, "status", **PROFILED)
    assert "RUNNING" in shown.stdout, shown.stderr
    assert not imported(shown.stderr) & (HEAVY - {"pyarrow"})  # which Ray asks for, and does not get: it would bring numpy

    for action, state in (("pause", "PAUSED"), ("resume", "RUNNING")):
        result = helix(run.home, "control", action)
        assert result.returncode == 0, result.stdout + result.stderr
        run.wait_until(f"state {state}", lambda live, state=state: live.last_state == state)
        assert run.status()["state"] == state

    assert helix(run.home, "control", "rate", "200").returncode == 0
    assert helix(run.home, "control", "spike", "--rate", "500", "--seconds", "1").returncode == 0
    assert helix(run.home, "control", "concurrency", "3").returncode == 0
    assert helix(run.home, "control", "budget", "2.5").returncode == 0
    run.wait_until("the new bounds are in effect", lambda live: bounds_of(live.status()) == (3, 2.5))
    assert helix(run.home, "control", "drain").returncode == 0
    code, report = run.finish()
    assert code == 130, run.output
    assert report["lost"] == 0
    assert "drain" in report["reason"]


def test_without_a_run_status_says_so(start_run: StartRun) -> None:
    run = start_run(args=["--dry-run"])
    assert run.finish()[0] == 0
    result = helix(run.home, "status")
    assert result.returncode != 0
    assert "no live run" in (result.stdout + result.stderr).lower()
