"""Ctrl-C and resumption: nothing lost, nothing stored twice."""

import time

from fix_run import StartRun

PACED = ("source.count=500", "emulator.requests_per_minute=300", "emulator.latency_scale=0", "ray.dashboard=false")


def test_first_ctrl_c_drains_and_the_printed_command_completes(start_run: StartRun) -> None:
    """Between the two, a change of what defines the results is refused, and spoils nothing."""
    first = start_run(*PACED)
    first.wait_for_stored_reads()
    first.interrupt()
    code, report = first.finish()
    assert code == 130, first.output
    assert report["status"] == "stopped"
    assert report["lost"] == 0
    assert report["reads_handed_back"] > 0
    assert report["resume_command"] in first.output

    changed = start_run(*PACED, "run.seed=7", args=["--resume", report["run_id"]])
    code, _ = changed.finish()
    assert code == 2
    assert "run.seed: was 42, is 7" in changed.output

    second = start_run(pasted=report["resume_command"])
    code, resumed = second.finish()
    assert code == 0, second.output
    assert resumed["run_id"] == report["run_id"]
    assert (resumed["reads_requested"], resumed["reads_stored"]) == (500, 500)
    assert (resumed["lost"], resumed["duplicates"]) == (0, 0)
    assert resumed["requests"] - resumed["http_429"] == 500
    assert resumed["reads_repaid"] == 0
    assert resumed["cost_usd"] > report["cost_usd"]


def test_second_ctrl_c_stops_at_once_and_says_what_may_be_billed(start_run: StartRun) -> None:
    run = start_run("source.count=5000", "emulator.latency_scale=20", "ray.dashboard=false")
    run.wait_for_stored_reads()  # the first request is sent alone, to learn the limits
    run.wait_until("answers on their way", lambda live: live.status()["throttle"]["in_flight"] > 1)
    run.interrupt()
    run.wait_for_output("Ending:")
    asked_again = time.monotonic()
    run.interrupt()
    code, report = run.finish()
    assert time.monotonic() - asked_again < 10  # the promise is 5 s; a loaded machine ends Ray's processes slowly
    assert code == 130, run.output
    assert report["status"] == "stopped"
    assert report["lost"] == 0
    assert 0 < report["possibly_billed"] <= 64  # two workers with 32 requests each
    assert report["resume_command"] in run.output
