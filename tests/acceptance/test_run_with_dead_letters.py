"""Exit 5: every read has its final row, some of them say why there is no answer."""

from fix_run import ONE_OF_EACH, StartRun, helix


def test_truncated_answers_are_dead_letters_paid_for_and_scored(start_run: StartRun) -> None:
    run = start_run(
        *ONE_OF_EACH,
        "source.count=60",
        "analyzer.max_completion_tokens=16",  # no answer fits
        "retry.max_attempts=2",
        "retry.base_delay_s=0.05",
        "emulator.tier=unlimited",
        "emulator.latency_scale=0",
        "ray.dashboard=false",
        args=["--hold"],
    )
    report = run.wait_for_report()
    assert report["status"] == "complete"
    assert (report["dead_letters"], report["reads_stored"]) == (60, 0)
    assert (report["lost"], report["duplicates"]) == (0, 0)
    assert report["requests"] >= 60
    assert report["cost_usd"] > 0  # an answer that cannot be used is billed all the same
    assert report["tokens"]["completion"] > 0
    assert report["cost_per_1000_reads"] is None  # no read was analysed
    everything = report["accuracy"]["ALL"]
    assert everything["tp"] == everything["fp"] == 0
    assert everything["fn"] > 0
    assert everything["recall"] == 0

    run.wait_for_output("Held:")
    run.interrupt()
    code, _ = run.finish()
    assert code == 5, run.output
    assert "no live run" in helix(run.home, "status").stderr.lower()
