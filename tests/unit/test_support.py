"""The guard of the unit tests, the bound on whole runs, and the manual clock."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
import ray

import fix_run
from support.manual_clock import ManualClock


def test_a_socket_is_refused() -> None:
    with pytest.raises(AssertionError, match="a unit test opened a socket"):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match="a unit test opened a socket"):
        socket.socket(socket.AF_UNIX)


def test_ray_is_refused() -> None:
    with pytest.raises(AssertionError, match="a unit test started Ray"):
        ray.init()


@pytest.mark.parametrize(("number", "fails"), [(fix_run.MOST_WHOLE_RUNS, False), (fix_run.MOST_WHOLE_RUNS + 1, True)])
def test_too_many_whole_runs_fail_the_session(number: int, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fix_run, "whole_runs", [])
    for count in (number // 2, number - number // 2):  # of two test processes
        process: Any = SimpleNamespace(config=SimpleNamespace(workeroutput={}))
        with monkeypatch.context() as there:
            there.setattr(fix_run, "whole_runs", ["a test"] * count)
            fix_run.pytest_sessionfinish(process)
        fix_run.pytest_testnodedown(process.config)
    session: Any = SimpleNamespace(config=SimpleNamespace(), exitstatus=pytest.ExitCode.OK)
    fix_run.pytest_sessionfinish(session)
    assert (session.exitstatus == pytest.ExitCode.TESTS_FAILED) is fails


async def test_an_event_loop_of_its_own_still_works() -> None:
    assert await asyncio.to_thread(asyncio.run, asyncio.sleep(0, "done")) == "done"


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock, woken = ManualClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic() - 1000.0))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3.0, 1.0, 2.0)]
    await clock.until_sleeping(3)
    await clock.advance(2.5)
    assert woken == [(1.0, 1.0), (2.0, 2.0)]
    await clock.advance(1.0)
    assert woken[-1] == (3.0, 3.0)
    await asyncio.gather(*tasks)


async def test_a_task_that_sleeps_again_is_woken_again_within_one_advance() -> None:
    clock, ticks = ManualClock(), []

    async def ticker() -> None:
        while len(ticks) < 5:
            await clock.sleep(1.0)
            ticks.append(clock.now())

    task = asyncio.create_task(ticker())
    await clock.advance(5.0)
    await task
    assert (ticks[-1] - ticks[0]).total_seconds() == 4.0


async def test_a_cancelled_sleeper_is_not_counted() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1.0))
    await clock.until_sleeping()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.sleepers == 0
    clock.tick(2.0)
    assert clock.monotonic() == 1002.0
