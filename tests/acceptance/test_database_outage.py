"""The database goes away in the middle of a run: for a moment, which nobody notices, or for good, which is exit 1."""

from pathlib import Path

from fix_run import StartRun, helix
from helix_ray.actors.api import SINK
from helix_ray.environment.logs import Event
from helix_ray.storage.embedded import EmbeddedServer
from support.run_log import of, read_log
from support.sequence_files import write_pairs

PAIRS = 800


def test_lost_for_good_ends_the_run_and_a_restart_is_survived(own_server: EmbeddedServer, start_run: StartRun, tmp_path: Path) -> None:
    """The reads are pairs from a file with one malformed line, which a run may skip: it has its row as well."""
    env = {"DATABASE_URL": own_server.url}
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    lost = start_run(
        "source.kind=pairs",
        f"source.path={tmp_path / 'pairs.jsonl'}",
        "source.on_error=skip",
        "source.count=null",
        "source.producers=1",
        "source.rate_per_s=20",  # slow enough to outlast both outages
        "run.drain_timeout_s=1",
        "sink.database=external",
        "sink.outage_timeout_s=2",
        "sink.statement_timeout_s=2",
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
    log = read_log(lost.home)
    assert {line["actor"] for line in of(log, Event.OUTAGE_BEGAN)} >= {SINK}
    [given_up] = of(log, Event.SINK_FAILED)
    assert "did not come back within 2 s" in given_up["traceback"]
    assert [line["status"] for line in of(log, Event.ENDING, Event.SESSION_ENDED)] == ["failed", "failed"]

    own_server.join()
    patient = report["resume_command"].replace("--resume", "--set sink.outage_timeout_s=60 --resume")
    resumed = start_run(pasted=patient, env=env)
    resumed.wait_for_output("RUNNING: ")
    resumed.wait_for_stored_reads(more_than=resumed.stored)
    own_server.halt("immediate")
    own_server.join()
    # refused for as long as it cannot be recorded
    resumed.wait_until("a command after the restart", lambda run: helix(run.home, "control", "rate", "1000").returncode == 0)
    code, report = resumed.finish()
    assert code == 0, resumed.output
    assert (report["reads_requested"], report["reads_stored"], report["reads_malformed"]) == (PAIRS + 1, PAIRS, 1)
    assert (report["lost"], report["duplicates"]) == (0, 0)
    log = read_log(lost.home)
    assert [line["resumed"] for line in of(log, Event.SESSION_STARTED)] == [False, True]
    own = [line for line in log[log.index(of(log, Event.SESSION_STARTED)[1]) :] if line["actor"] == SINK]
    for connection in ("rows", "requests"):
        outage = [line["event"] for line in of(own, Event.OUTAGE_BEGAN, Event.OUTAGE_ENDED) if line["connection"] == connection]
        assert outage in ([], [Event.OUTAGE_BEGAN, Event.OUTAGE_ENDED])
    assert of(own, Event.OUTAGE_ENDED)
    assert not of(log, Event.DRIVER_DIED)
