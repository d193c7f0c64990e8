"""The actor's shell without Ray: who waits is woken at the right moment, and nothing is granted to nobody."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from helix_ray.actors import peers
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.config import ThrottleConfig
from helix_ray.records import DesiredState, TokenUsage
from helix_ray.throttle.messages import Exchange, PermitRequest, Settlement


def want(name: str, tokens: int = 100) -> PermitRequest:
    return PermitRequest(name, tokens, tokens, Decimal("0.01"))


@pytest.fixture
async def throttle(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ThrottleActor]:
    async def silent(self: ThrottleActor) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ThrottleActor, "_beat", silent)
    actor = ThrottleActor(ThrottleConfig(tokens_per_minute=60_000, max_cost_usd=1.0, adaptive_concurrency=False))
    await actor.restore(Decimal(0))
    actor._governor.limiters["on_demand"].has_answered = True  # no probe first
    actor._governor.limiters["on_demand"].served = 1000  # long enough to lease ahead
    yield actor
    assert actor._beat_task is not None
    actor._beat_task.cancel()
    if actor._timer is not None:
        actor._timer.cancel()


async def test_a_chunk_of_wants_is_granted_in_one_reply(throttle: ThrottleActor) -> None:
    reply = await throttle.exchange("a", Exchange([want(f"w{n}") for n in range(16)]))
    assert [grant.want_id for grant in reply.grants] == [f"w{n}" for n in range(16)]


async def test_time_alone_wakes_the_head_of_the_line(throttle: ThrottleActor) -> None:
    [full] = (await throttle.exchange("a", Exchange([want("full", 30_000)]))).grants
    await throttle.exchange("a", Exchange(settlements=[Settlement(full.permit_id, "answered", TokenUsage(30_000, 0, 29_950), Decimal(0))]))
    reply = await throttle.exchange("a", Exchange([want("next", 100)]), 5.0)  # 200 tokens: a fifth of a second
    assert len(reply.grants) == 1


async def test_a_settlement_wakes_whoever_it_makes_room_for(throttle: ThrottleActor) -> None:
    [full] = (await throttle.exchange("a", Exchange([want("full", 30_000)]))).grants
    waiting = asyncio.create_task(throttle.exchange("b", Exchange([want("next", 30_000)]), 5.0))
    await asyncio.sleep(0)
    await throttle.exchange("a", Exchange(settlements=[Settlement(full.permit_id, "not_sent")]))
    assert len((await waiting).grants) == 1


async def test_a_call_that_ends_empty_keeps_its_place(throttle: ThrottleActor) -> None:
    [full] = (await throttle.exchange("a", Exchange([want("full", 30_000)]))).grants
    empty = await throttle.exchange("b", Exchange([want("first", 30_000)]), 0.0)
    assert (empty.grants, empty.refusal) == ([], None)
    late = asyncio.create_task(throttle.exchange("c", Exchange([want("second", 30_000)]), 5.0))
    again = asyncio.create_task(throttle.exchange("b", Exchange([want("first", 30_000)]), 5.0))
    await asyncio.sleep(0)
    await throttle.exchange("a", Exchange(settlements=[Settlement(full.permit_id, "not_sent")]))
    assert len((await again).grants) == 1
    assert not late.done()
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    assert throttle._calls._waiting == {}


async def test_stop_wakes_and_refuses_everybody(throttle: ThrottleActor) -> None:
    await throttle.exchange("a", Exchange([want("full", 30_000)]))
    waiting = [asyncio.create_task(throttle.exchange("b", Exchange([want(f"w{n}")]), 5.0)) for n in range(3)]
    await asyncio.sleep(0)
    await throttle.stop("model gone")
    for reply in await asyncio.gather(*waiting):
        assert reply.refusal is not None
        assert reply.refusal.reason == "refused"


async def test_release_and_withdraw_leave_nothing_behind(throttle: ThrottleActor) -> None:
    await throttle.exchange("a", Exchange([want("w0")]))
    await throttle.exchange("b", Exchange([want("w1")]))
    await throttle.exchange("a", Exchange(withdrawn=["w0"]))
    await throttle.release("b")
    stats = await throttle.stats()
    assert (stats.in_flight, stats.waiting, stats.spent_usd) == (0, 0, Decimal("0.01"))


async def test_what_a_dead_holder_held_ahead_comes_back(throttle: ThrottleActor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    answers = [None, ["sent"]]

    async def revoke(call_ids: list[str]) -> list[str] | None:
        asked.append(call_ids)
        return answers.pop(0)

    monkeypatch.setattr(peers, "revoke", revoke)
    for holder, more in (("a", ["lost"]), ("b", ["sent", "unused"])):
        assert len((await throttle.exchange(holder, Exchange([want(name)._replace(ahead=True) for name in more]))).grants) == len(more)
        await throttle.release(holder)
        await asyncio.sleep(0.01)
    stats = await throttle.stats()
    assert asked == [["lost"], ["sent", "unused"]]
    assert (stats.in_flight, stats.reserved_usd, stats.spent_usd) == (0, 0, Decimal("0.02"))


async def test_at_a_high_rate_permits_are_given_out_in_bunches(throttle: ThrottleActor) -> None:
    [full] = (await throttle.exchange("a", Exchange([want("full", 30_000)]))).grants
    used = TokenUsage(30_000, 0, 30_000)
    await throttle.exchange("a", Exchange(settlements=[Settlement(full.permit_id, "answered", used, Decimal(0))]))
    reply = await throttle.exchange("a", Exchange([want(f"w{n}", 5) for n in range(100)]))  # 10 tokens: a hundredth of a second
    assert 5 <= len(reply.grants) <= 20


async def test_what_is_said_about_another_incarnation_is_not_taken_up(throttle: ThrottleActor) -> None:
    incarnation = await throttle.ping()
    assert await throttle.restore(Decimal("0.5"), [], False, "another") == incarnation
    assert (await throttle.stats()).spent_usd == 0
    assert await throttle.restore(Decimal("0.5"), [], False, incarnation) == incarnation
    assert (await throttle.stats()).spent_usd == Decimal("0.5")


async def test_a_command_moves_the_cap_and_its_withdrawal_brings_the_configured_one_back(throttle: ThrottleActor) -> None:
    throttle._apply(DesiredState(version=1, max_cost_usd=0.25))
    assert (await throttle.stats()).max_cost_usd == Decimal("0.25")
    throttle._apply(DesiredState(version=2))
    assert (await throttle.stats()).max_cost_usd == Decimal("1.0")
