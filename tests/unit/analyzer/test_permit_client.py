"""Few calls: permits in chunks, settlements that ride along, and nothing that waits for company at a low rate."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from helix_ray.analyzer.permit_client import LINGER_S, PATIENCE_S, PermitClient
from helix_ray.providers.readings import RateLimitDetail
from helix_ray.throttle.messages import AHEAD_S, AcquireReply, Exchange, Permit, PermitRequest, Settlement
from support.manual_clock import ManualClock, turns


class Plenty:
    """Grants everything, also ahead while it is ``ample``."""

    def __init__(self) -> None:
        self.told: list[Exchange] = []
        self.ample = True
        self.on_call: Callable[[], None] = lambda: None

    async def exchange(self, told: Exchange) -> AcquireReply:
        self.told.append(told)
        self.on_call()
        return AcquireReply([permit(want.want_id) for want in told.requests if self.ample or not want.ahead], None)

    def asked_ahead(self) -> set[str]:
        return {f"p-{want.want_id}" for told in self.told for want in told.requests if want.ahead}

    async def stop(self, message: str) -> None:
        raise AssertionError(message)

    def returned(self) -> list[str]:
        return [each.permit_id for told in self.told for each in told.settlements if each.outcome == "not_sent"]


def permit(name: str) -> Permit:
    return Permit(name, f"p-{name}", 60.0)


def want(number: int, tokens: int = 700) -> PermitRequest:
    return PermitRequest(f"w{number}", tokens, 512, Decimal("0.001"))


@asynccontextmanager
async def served(throttle: Plenty, clock: ManualClock) -> AsyncIterator[PermitClient]:
    client = PermitClient(throttle, clock)
    pump = asyncio.create_task(client.run())
    yield client
    pump.cancel()


async def use(client: PermitClient, clock: ManualClock, requests: int, every_s: float, settle: bool = True) -> list[str]:
    """One request after the other; the ids of their permits."""
    ids = []
    for number in range(requests):
        answer = await client.acquire(want(number))
        assert isinstance(answer, Permit)
        ids.append(answer.permit_id)
        if settle:
            client.settle(Settlement(answer.permit_id, "answered"), clock.monotonic())
        await clock.advance(every_s)
    return ids


async def test_at_a_high_rate_one_call_serves_many_requests_and_every_permit_ends_once() -> None:
    throttle, clock = Plenty(), ManualClock()
    async with served(throttle, clock) as client:
        ids = await use(client, clock, 600, 0.005)
        await client.flush()
    assert len(set(ids)) == 600
    assert len(throttle.told) / 600 < 0.075
    settled = [each.permit_id for told in throttle.told for each in told.settlements]
    assert len(settled) == len(set(settled))
    assert throttle.asked_ahead() <= set(settled), "what was not used was given back"


async def test_at_a_low_rate_nothing_is_held_and_nothing_waits() -> None:
    throttle, clock = Plenty(), ManualClock()
    async with served(throttle, clock) as client:
        for number in range(8):
            asked_at = clock.monotonic()
            await client.acquire(want(number))
            assert clock.monotonic() == asked_at
            client.settle(Settlement(f"p-w{number}", "answered"), asked_at)
            await clock.advance(LINGER_S)
            assert [each.permit_id for each in throttle.told[-1].settlements] == [f"p-w{number}"]
            await clock.advance(0.5)
    assert not throttle.asked_ahead()


async def test_a_permit_held_ahead_is_not_used_after_its_second_though_the_process_was_stopped() -> None:
    throttle, clock = Plenty(), ManualClock()
    async with served(throttle, clock) as client:
        await use(client, clock, 100, 0.005)
        assert client._ahead
        held, calls = [each.permit.permit_id for each in client._ahead], len(throttle.told)
        clock._now_s += AHEAD_S  # SIGSTOP: nobody is woken in time
        answer = await client.acquire(want(100))
        assert isinstance(answer, Permit)
        assert answer.permit_id == "p-w100"
        await clock.advance(PATIENCE_S)
    assert {*held} <= {*throttle.returned()}
    assert throttle.told[calls].requests[0] == want(100)


async def test_what_is_held_ahead_is_given_back_at_a_pause_and_after_a_429() -> None:
    for end in ("pause", "429"):
        throttle, clock = Plenty(), ManualClock()
        async with served(throttle, clock) as client:
            ids = await use(client, clock, 100, 0.005)
            held = {each.permit.permit_id for each in client._ahead}
            if end == "pause":
                client.withdraw_all()
            else:
                client.settle(Settlement(ids[-1], "rejected", limited=RateLimitDetail(retry_after_s=1.0)), clock.monotonic())
            assert not client._ahead
            await clock.advance(0.0 if end == "429" else PATIENCE_S)
        assert held <= {*throttle.returned()}


async def test_chunks_that_arrive_during_a_pause_are_given_back() -> None:
    throttle, clock = Plenty(), ManualClock()
    async with served(throttle, clock) as client:
        await use(client, clock, 60, 0.005)
        throttle.on_call = client.withdraw_all
        client._ahead.clear()
        client._wanted.set()
        await client.acquire(want(100))
        await clock.advance(PATIENCE_S)
        assert not client._ahead
    assert {f"p-{each.want_id}" for told in throttle.told[-2:] for each in told.requests if each.ahead} <= {*throttle.returned()}


async def test_without_ample_room_each_request_asks_and_nothing_is_held() -> None:
    throttle, clock = Plenty(), ManualClock()
    async with served(throttle, clock) as client:
        await use(client, clock, 60, 0.005)
        throttle.ample = False
        await use(client, clock, 60, 0.005)
        assert not client._ahead
        calls = len(throttle.told)
        await use(client, clock, 10, 0.005)
    assert sum(not each.ahead for told in throttle.told[calls:] for each in told.requests) == 10


async def test_a_larger_request_and_a_repetition_ask_for_their_own_permit() -> None:
    throttle, clock = Plenty(), ManualClock()
    async with served(throttle, clock) as client:
        await use(client, clock, 60, 0.005)
        for asked in (want(1000, 701), want(1001)._replace(retry=True), want(1002)._replace(service_tier="flex")):
            answer = await client.acquire(asked)
            assert isinstance(answer, Permit)
            assert answer.want_id == asked.want_id


async def test_only_what_is_new_is_told_in_full() -> None:
    throttle, clock = Plenty(), ManualClock()

    async def nothing(told: Exchange) -> AcquireReply:
        throttle.told.append(told)
        if len(throttle.told) == 3:  # a throttle that started again
            return AcquireReply([], None, unknown=told.waiting)
        await clock.sleep(2.0)
        return AcquireReply([], None)

    throttle.exchange = nothing  # type: ignore[method-assign]
    async with served(throttle, clock) as client:
        asking = [asyncio.create_task(client.acquire(want(0)))]
        await turns()
        asking.append(asyncio.create_task(client.acquire(want(1))))
        for _ in range(4):
            await clock.advance(2.0)
        for task in asking:
            task.cancel()
    told = [([each.want_id for each in told.requests], list(told.waiting)) for told in throttle.told[:4]]
    assert told == [(["w0"], []), (["w1"], ["w0"]), ([], ["w0", "w1"]), (["w0", "w1"], [])]
