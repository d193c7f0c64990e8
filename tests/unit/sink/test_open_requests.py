"""Requests that are on their way keep their reads from other analyzers."""

import asyncio

from helix_ray.records import ApiCall, CallState, Refused
from support.manual_clock import turns
from support.sink_bench import bench


async def test_a_read_that_a_live_analyzer_has_asked_about_is_not_asked_about_by_another() -> None:
    async with bench() as b:
        assert await b.intend("a", read=7) == []
        assert await b.intend("b", read=7) == [], "its own holder may ask again: the first has failed"
        assert await b.intend("c", read=7, holder="analyzer-1@a") == [Refused("c", [], [7], [])]
        assert await b.intend("d", read=8, holder="analyzer-1@a") == []
        await b.engine.intend("analyzer-0@b", [])  # a successor: nobody receives the answers of the one before
        assert await b.intend("c", read=7, holder="analyzer-1@a") == []
        assert await b.intend("e", read=7, holder="analyzer-0@b") == [Refused("e", [], [7], [])]
        write = asyncio.create_task(b.engine.write([], [ApiCall("c", "analysis", 1, [7], CallState.FAILED, 500, "m")]))
        await turns()
        assert await b.intend("e", read=7, holder="analyzer-0@b") == []
        await asyncio.gather(write, b.engine.flush())
        assert await b.intend("f", read=9, holder="analyzer-0@b") == []
        assert await b.intend("g", read=10, holder="analyzer-0@a") == [Refused("g", [], [10], [])], "a late call of its predecessor"
        assert await b.intend("h", read=9, holder="analyzer-1@a") == [Refused("h", [], [9], [])], "which ends none of its own"
        assert b.ledger.intended == [["a"], ["b"], [], ["d"], ["c"], [], ["e"], ["f"], [], []]


async def test_a_request_whose_permit_was_taken_back_is_refused_unless_it_is_on_record() -> None:
    async with bench() as b:
        assert await b.intend("on record") == []
        b.ledger.intents.clear()
        under_way = b.intend("under way")
        await turns()
        revoking = asyncio.create_task(b.engine.revoke(["on record", "under way", "late"]))
        await turns()
        late = b.intend("late", read=7)
        b.ledger.open_gates()
        assert await revoking == ["on record", "under way"]
        assert await b.intend("on record") == [], "again"
        assert (await under_way, await late) == ([], [Refused("late", [], [], [])])
        assert await b.intend("new", read=7, holder="analyzer-1@a") == [], "the read of a refused request is free"
        assert [name for names in b.ledger.intended for name in names] == ["on record", "under way", "on record", "new"]
