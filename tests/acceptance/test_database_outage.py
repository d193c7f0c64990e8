"""The database goes away in the middle of a run: for a moment, which nobody notices, or for good, which is exit 1."""

from fix_run import StartRun
from helix_ray.storage.embedded import EmbeddedServer


def test_lost_for_good_ends_the_run_and_a_restart_is_survived(own_server: EmbeddedServer, start_run: StartRun) -> None:
    env = {"DATABASE_URL": own_server.url}
    lost = start_run(
        "source.count=1200",
        "source.rate_per_s=60",
        "sink.database=external",
        "sink.outage_timeout_s=2",
        "sink.statement_timeout_s=5",
        "emulator.tier=unlimited",
        "emulator.latency_scale=0.2",
        "ray.dashboard=false",
        env=env,
    )
    lost.wait_for_stored_reads()
    own_server.halt("immediate")
    code, report = lost.finish()
    assert code == 1, lost.output
    assert report["status"] == "failed"
    assert "database" in report["reason"]
    assert "Traceback" not in lost.output
    for term in ("reads_stored", "dead_letters", "lost", "duplicates", "requests", "cost_usd", "tokens", "latency_ms"):
        assert report[term] is None, term
    assert report["resume_command"] in lost.output

    own_server.join()
    resumed = start_run(pasted=report["resume_command"], env=env)
    resumed.wait_for_output("RUNNING: ")
    resumed.wait_for_stored_reads(more_than=resumed.stored)
    own_server.halt("immediate")
    own_server.join()
    code, report = resumed.finish()
    assert code == 0, resumed.output
    assert (report["reads_requested"], report["reads_stored"]) == (1200, 1200)
    assert (report["lost"], report["duplicates"]) == (0, 0)
