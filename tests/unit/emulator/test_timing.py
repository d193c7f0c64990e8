"""The emulator's capacity (hidden, flex with 498, overload with 503) and its prompt cache: what counts as cached and what it costs."""

import asyncio
import json
from collections.abc import MutableMapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.emulator.published import MODELS
from helix_ray.emulator.timing import LIFETIME_S, Capacity, Job, PromptCache, Serving, Timing
from support.emulator_case import MODEL, admitted, ask, begin, chat, error


def finished(capacity: Capacity, jobs: list[Job], now: float = 1e6) -> list[float]:
    for job in jobs:
        assert capacity.left_s(job, now) == 0.0
    return [job.finished_at or 0.0 for job in jobs]


def test_up_to_the_capacity_everybody_runs_at_full_speed():
    capacity = Capacity(4)
    jobs = [capacity.enter(1.0, 10.0) for _ in range(4)]
    assert capacity.speed == 1.0
    assert finished(capacity, jobs) == pytest.approx([11.0] * 4)
    assert [job.stretch for job in jobs] == [1.0] * 4


def test_above_it_all_slow_down_in_proportion():
    capacity = Capacity(4)
    jobs = [capacity.enter(1.0, 10.0) for _ in range(8)]
    assert capacity.left_s(jobs[0], 10.5) == pytest.approx(1.5)
    assert finished(capacity, jobs) == pytest.approx([12.0] * 8)
    assert jobs[0].stretch == pytest.approx(2.0)


def test_those_that_leave_make_room():
    capacity = Capacity(1)
    short, long = capacity.enter(1.0, 0.0), capacity.enter(2.0, 0.0)
    assert finished(capacity, [short, long]) == pytest.approx([2.0, 3.0])
    first, gone = capacity.enter(1.0, 1e6), capacity.enter(5.0, 1e6)
    capacity.leave(gone, 1e6 + 1.0)  # half of the first is done
    assert capacity.left_s(first, 1e6 + 1.0) == pytest.approx(0.5)
    capacity.leave(gone, 1e6 + 1.0)
    assert capacity.serving == 1


def test_a_change_holds_for_those_being_served():
    capacity = Capacity(4)
    jobs = [capacity.enter(1.0, 0.0) for _ in range(4)]
    capacity.change(2, 0.5)
    assert capacity.left_s(jobs[0], 0.5) == pytest.approx(1.0)
    capacity.change(None, 1.0)  # a quarter is left of each
    assert finished(capacity, jobs) == pytest.approx([1.25] * 4)


@given(
    most=st.integers(1, 5),
    arrivals=st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.01, 2.0)), min_size=1, max_size=30),
)
def test_work_is_conserved(most: int, arrivals: list[tuple[float, float]]):
    capacity, now, jobs = Capacity(most), 0.0, []
    for pause, needed in arrivals:
        now += pause
        jobs.append(capacity.enter(needed, now))
    ends = finished(capacity, jobs)
    assert capacity.serving == 0
    for job, end in zip(jobs, ends, strict=True):
        assert end >= job.entered_at + job.needed_s - 1e-6
    assert max(ends) >= sum(job.needed_s for job in jobs) / most - 1e-6  # never more than ``most`` seconds of work a second
    assert max(ends) <= now + sum(job.needed_s for job in jobs) + 1e-6


async def _silent() -> MutableMapping[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def _leaves() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}


async def test_serving_stretches_and_a_change_is_felt():
    loop = asyncio.get_running_loop()
    serving = Serving(2, loop.time)
    timing = Timing(0.02, 0.03, 0.15, 0.0)
    served = await asyncio.gather(*(serving.serve(timing, _silent) for _ in range(8)))
    assert not any(one.gone for one in served)
    assert all(2.5 < one.stretch < 5.5 for one in served)
    serving.change(1)
    waiting = [asyncio.create_task(serving.serve(timing._replace(completion_s=1000.0), _silent)) for _ in range(3)]
    await asyncio.sleep(0)
    assert (await serving.serve(timing, _leaves)).gone
    assert serving.capacity.serving == 3
    for task in waiting[1:]:
        task.cancel()
    await asyncio.gather(*waiting[1:], return_exceptions=True)
    assert serving.capacity.serving == 1
    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert serving.capacity.serving == 0


def test_the_times_in_the_answer_are_the_stretched_ones():
    service = chat(latency_scale=1.0)
    first = admitted(service)
    usage = json.loads(service.finish(first, False, 2.5).body)["usage"]
    assert usage["completion_time"] == pytest.approx(2.5 * first.timing.completion_s, abs=1e-8)
    assert usage["queue_time"] == pytest.approx(2.5 * first.timing.queue_s, abs=1e-8)


def test_flex_without_capacity_is_a_498_that_takes_nothing():
    service = chat(tier="developer", flex_capacity=2)
    held = [admitted(service, service_tier="flex") for _ in range(2)]
    reply = ask(service, service_tier="flex")
    assert (reply.status, error(reply)["code"]) == (498, "capacity_exceeded")
    assert b"retry-after" not in dict(reply.headers)
    assert ask(service).status == 200  # on demand is another matter
    service.finish(held[0], False)
    assert ask(service, service_tier="flex").status == 200
    summary: Any = service.summary()
    assert summary["buckets"][f"{MODEL} flex"]["RPM"]["settled"] == 2
    assert summary["refused"] == {"total": 1, "by_kind": {"498": 1}}


def test_overload_is_a_503_in_groqs_words_behind_the_limits():
    service = chat(tier="free", overload_capacity=1, requests_per_minute=2)
    held = admitted(service)
    reply = ask(service)
    assert reply.status == 503
    assert error(reply) == {
        "message": f"{MODEL} is currently over capacity. Please try again and back off exponentially. "
        "Visit https://groqstatus.com to see if there is an active incident.",
        "type": "internal_server_error",
    }
    service.finish(held, False)
    held = admitted(service)
    assert ask(service).status == 429  # a limit speaks first
    service.finish(held, False)


def test_auto_is_served_on_demand_while_that_lasts_then_as_flex():
    service = chat(tier="developer", requests_per_minute=2, flex_capacity=1)
    tiers = [json.loads(ask(service, service_tier="auto").body)["service_tier"] for _ in range(4)]
    assert tiers == ["on_demand", "on_demand", "flex", "flex"]
    held = admitted(service, service_tier="auto")
    assert held.request.service_tier == "flex"
    assert ask(service, service_tier="auto").status == 498
    page: Any = service.ledger.entries.page(0, 10)
    assert [entry["service_tier"] for entry in page["entries"]] == ["on_demand", "on_demand", "flex", "flex", "auto"]
    only = chat(tier="free", requests_per_minute=1)
    assert ask(only, service_tier="auto").status == 200
    assert ask(only, service_tier="auto").status == 429


def test_a_request_too_large_for_on_demand_may_fit_into_flex():
    service = chat(tier="developer", tokens_per_minute=2000)
    assert ask(service, max_completion_tokens=4000).status == 413
    outcome = begin(service, max_completion_tokens=4000, service_tier="auto")
    assert isinstance(outcome, Admitted)
    assert outcome.ticket.service_tier == "flex"


RULES = "Compare the read with the reference. " * 30  # 1,110 characters: two blocks of 512


def test_only_a_prompt_that_begins_like_a_recent_one_is_cached():
    cache = PromptCache(1.0, seed=1)
    assert cache.cached_tokens(MODEL, [RULES, "read 1"], 400, 0.0) == 0
    assert cache.cached_tokens(MODEL, [RULES, "read 2"], 400, 1.0) == 256
    assert cache.cached_tokens(MODEL, ["x" + RULES, "read 2"], 400, 2.0) == 0
    assert cache.cached_tokens("openai/gpt-oss-120b", [RULES, "read 2"], 400, 3.0) == 0


def test_less_than_128_tokens_are_not_cached_and_never_the_whole_prompt():
    cache = PromptCache(1.0, seed=1)
    for now in (0.0, 1.0):
        assert cache.cached_tokens(MODEL, ["y" * 511], 200, now) == 0
    cache.cached_tokens(MODEL, ["z" * 1024], 256, 2.0)
    assert cache.cached_tokens(MODEL, ["z" * 1024], 256, 3.0) == 128


def test_a_prefix_is_kept_for_two_hours_after_its_last_use():
    cache = PromptCache(1.0, seed=1)
    cache.cached_tokens(MODEL, [RULES], 400, 0.0)
    assert cache.cached_tokens(MODEL, [RULES], 400, LIFETIME_S) == 256
    assert cache.cached_tokens(MODEL, [RULES], 400, 2 * LIFETIME_S) == 256
    assert cache.cached_tokens(MODEL, [RULES], 400, 3 * LIFETIME_S + 1) == 0


def test_the_share_of_hits_is_the_one_asked_for():
    cache = PromptCache(0.3, seed=5)
    hits = sum(cache.cached_tokens(MODEL, [RULES], 400, float(number)) > 0 for number in range(4000))
    assert 0.27 < hits / 4000 < 0.33


def body(model: str) -> bytes:
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": "hi"}]
    return json.dumps({"model": model, "max_completion_tokens": 300, "messages": messages}).encode()


def served(service: Chat, model: str = MODEL) -> dict[str, Any]:
    admitted = service.begin("Bearer x", 0, body(model))
    assert isinstance(admitted, Admitted)
    return dict(json.loads(service.finish(admitted, False).body)["usage"])


def test_cached_tokens_cost_less_leave_the_limits_alone_and_are_read_at_once():
    service = Chat(EmulatorConfig(cache_hit_rate=1.0), MODEL, lambda: 1000.0, lambda: 1_790_000_000.0)
    first, second = served(service), served(service)
    assert "prompt_tokens_details" not in first
    assert second["prompt_tokens_details"] == {"cached_tokens": 256}
    assert second["prompt_tokens"] == first["prompt_tokens"]
    assert second["prompt_time"] < first["prompt_time"]
    one, two = service.ledger.entries.page(0, 2)["entries"]
    assert (one["cached_tokens"], two["cached_tokens"]) == (0, 256)
    assert one["charged"] - two["charged"] == 256 + first["completion_tokens"] - second["completion_tokens"]
    model = MODELS[MODEL]
    assert Decimal(two["billed_usd"]) == (
        (second["prompt_tokens"] - 256) * Decimal(model.prompt_usd)
        + 256 * Decimal(model.cached_usd or "nan")
        + second["completion_tokens"] * Decimal(model.completion_usd)
    )
    assert service.summary()["tokens"]["cached"] == 256  # type: ignore[index]


@pytest.mark.parametrize(("model", "rate"), [("qwen/qwen3.8-27b", 1.0), (MODEL, 0.0)])
def test_without_a_price_for_cached_input_or_switched_off_nothing_is_cached(model: str, rate: float):
    service = Chat(EmulatorConfig(cache_hit_rate=rate), model, lambda: 1000.0, lambda: 1_790_000_000.0)
    for _ in range(2):
        assert "prompt_tokens_details" not in served(service, model)
