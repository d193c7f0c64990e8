"""What a whole run says it waited for, in runs that are held back by one thing on purpose."""

import asyncio

import psycopg
import pytest

from fix_run import StartRun
from helix_ray.storage.postgres import PostgresLedger

QUICK = ("source.count=100000", "ray.dashboard=false", "run.drain_timeout_s=1", "emulator.error_rates.drop=0")
SECONDS = 15
"""The shortest that the held-back time is most of the run in, however slow this machine."""

SCENARIOS = {
    "tokens": ("emulator.tokens_per_minute=60000", "emulator.latency_scale=0.2"),
    "requests": ("emulator.requests_per_minute=100", "emulator.tokens_per_minute=100000000", "emulator.latency_scale=0.2"),
    "daily limit": ("emulator.requests_per_day=150", "emulator.latency_scale=0.2"),
    "producer": ("source.rate_per_s=10", "emulator.tier=unlimited", "emulator.latency_scale=0.1"),
    "API latency": ("analyzer.requests_in_flight=8", "emulator.tier=unlimited", "emulator.latency_scale=4"),
}
"""What is waited for, and what makes a run wait for it."""


def share_of(name: str, shares: dict[str, float]) -> float:
    """Of the looks that found anything: while a run so short begins and ends, nothing is waited for."""
    return shares[name] / (1 - shares.get("none", 0.0))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_run_names_what_it_waited_for(name: str, start_run: StartRun) -> None:
    run = start_run(*QUICK, f"run.max_duration_s={SECONDS}", *SCENARIOS[name])
    code, report = run.finish()
    assert code == 3, run.output
    assert report["bottleneck"] == name, report["bottleneck_shares"]
    assert share_of(name, report["bottleneck_shares"]) > 0.5, report["bottleneck_shares"]
    assert sum(report["bottleneck_shares"].values()) == pytest.approx(1.0, abs=0.01)
    assert f"waits for {name}" in run.output


def test_a_slow_database_is_named(database_url: str, start_run: StartRun) -> None:
    asyncio.run(_migrate(database_url))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create function helix.slowly() returns trigger language plpgsql as 'begin perform pg_sleep(1); return null; end'"
        )
        connection.execute("create trigger slowly after insert on helix.reads for each statement execute function helix.slowly()")
    run = start_run(
        *QUICK,
        f"run.max_duration_s={SECONDS}",
        "sink.database=external",
        "sink.batch_size=10",
        "analyzer.workers=1",
        "throttle.adaptive_concurrency=false",
        "emulator.tier=unlimited",
        "emulator.latency_scale=0.2",
        env={"DATABASE_URL": database_url},
    )
    code, report = run.finish()
    assert code == 3, run.output
    assert report["bottleneck"] == "sink", report["bottleneck_shares"]
    assert share_of("sink", report["bottleneck_shares"]) > 0.5, report["bottleneck_shares"]


async def _migrate(url: str) -> None:
    ledger = PostgresLedger(url)
    await ledger.migrate()
    await ledger.aclose()
