"""Group commit over all orders of adding, cancelling, failing and committing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.waiting.group_commit import GroupCommit
from support.manual_clock import ManualClock, turns

PAUSE_S = 2.0


class AwayError(Exception):
    """Repeated."""


class BrokenError(Exception):
    """Not repeated."""


class Store:
    """Writes that end when the test says so."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []
        self.lost: list[int] = []  # of groups that ended with an error
        self.outstanding: asyncio.Future[None] | None = None

    async def write(self, items: list[int]) -> None:
        assert self.outstanding is None, "one write at a time"
        self.outstanding = asyncio.get_running_loop().create_future()
        try:
            await self.outstanding
        except BrokenError:
            self.lost += items
            raise
        finally:
            self.outstanding = None
        self.written.append(items)

    def end(self, error: Exception | None = None) -> None:
        if self.outstanding is not None and not self.outstanding.done():
            self.outstanding.set_result(None) if error is None else self.outstanding.set_exception(error)


def group_commit(store: Store, clock: ManualClock) -> GroupCommit[int]:
    return GroupCommit(store.write, clock, retry_on=(AwayError,), pause_s=lambda attempt: PAUSE_S)


STEPS = st.lists(st.sampled_from(["commit", "add", "cancel", "turn", "ends", "away", "broken", "pause"]), max_size=40)


@given(STEPS)
def test_every_item_is_written_once_in_order_or_its_caller_gets_the_error(steps: list[str]) -> None:
    asyncio.run(_follow(steps))


async def _follow(steps: list[str]) -> None:
    store, clock = Store(), ManualClock()
    commits = group_commit(store, clock)
    callers: dict[int, asyncio.Task[None]] = {}
    cancelled: set[int] = set()
    added = 0
    for step in steps:
        if step == "commit":
            callers[added] = asyncio.create_task(commits.commit(added))
            await asyncio.sleep(0)  # so that items are numbered in the order of adding
            added += 1
        elif step == "add":
            commits.add(added)
            added += 1
        elif step == "cancel" and callers:
            last = max(callers)
            cancelled |= {last} if callers[last].cancel() else set()
        elif step == "turn":
            await turns(3)
        elif step == "pause":
            await clock.advance(PAUSE_S)
        else:
            store.end({"ends": None, "away": AwayError(), "broken": BrokenError()}.get(step))
        done = {index for group in store.written for index in group}
        returned = [index for index, caller in callers.items() if caller.done() and not caller.cancelled() and caller.exception() is None]
        assert done.issuperset(returned)
    flushed = asyncio.create_task(commits.flush())
    while not flushed.done():
        store.end()
        await clock.advance(PAUSE_S)
    assert isinstance(flushed.exception(), BrokenError) if store.lost else flushed.exception() is None
    written = [index for group in store.written for index in group]
    assert written == sorted(set(written))
    assert sorted(written + store.lost) == sorted(set(written + store.lost))
    assert set(range(added)) - set(written) - set(store.lost) <= cancelled
    for index, caller in callers.items():
        if index in store.lost and index not in cancelled:
            with pytest.raises(BrokenError):
                await caller
        elif index not in cancelled:
            assert await caller is None  # type: ignore[func-returns-value]
    if store.lost:
        with pytest.raises(BrokenError):
            commits.check()
    else:
        commits.check()


async def test_items_that_come_during_a_write_or_a_pause_share_the_next_write() -> None:
    store, clock = Store(), ManualClock()
    commits = group_commit(store, clock)
    for item in (0, 1):
        commits.add(item)
    await turns()
    commits.add(2)
    store.end(AwayError())
    await clock.until_sleeping()
    commits.add(3)
    await clock.advance(PAUSE_S)
    commits.add(4)
    store.end()
    await turns()
    store.end()
    await commits.flush()
    assert store.written == [[0, 1, 2, 3], [4]]


async def test_after_close_nothing_more_is_written() -> None:
    store = Store()
    commits = group_commit(store, ManualClock())
    first = asyncio.create_task(commits.commit(0))
    await turns()
    second = asyncio.create_task(commits.commit(1))
    await turns()
    commits.close(BrokenError("given up"))
    with pytest.raises(BrokenError):
        await second
    assert not first.done(), "its write is under way"
    store.end(AwayError())
    with pytest.raises(BrokenError):
        await first
    with pytest.raises(BrokenError):
        await commits.commit(2)
    commits.add(3)
    await commits.flush()
    assert store.written == []


async def test_stop_ends_the_write_and_its_callers_and_is_safe_twice_and_before_the_first_item() -> None:
    store = Store()
    commits = group_commit(store, ManualClock())
    await commits.stop(BrokenError())
    callers = [asyncio.create_task(commits.commit(item)) for item in range(2)]
    await turns()
    await commits.stop(BrokenError("stopped"))
    for caller in callers:
        with pytest.raises(BrokenError, match="stopped"):
            await caller
    await commits.stop(BrokenError())
    again = asyncio.create_task(commits.commit(2))
    await turns()
    store.end()
    await again
    assert store.written == [[2]]
