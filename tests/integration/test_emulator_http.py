"""The emulator as a child process, seen by the real Groq SDK over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import groq
import pytest
from groq import AsyncGroq

from helix_ray.config.emulator import EmulatorConfig, EmulatorErrorRates, EmulatorFaults
from helix_ray.emulator.process import EmulatorProcess
from support.emulator_messages import MODEL, messages, prompt

EXACT = EmulatorErrorRates(drop=0.0, shift=0.0, hallucinate=0.0)


async def control(url: str, what: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/_ctl/{what}") as response:
        assert response.status == 200
        return await response.json()


@pytest.fixture(scope="module")
def fast() -> Any:
    with EmulatorProcess.start(EmulatorConfig(tier="unlimited", latency_scale=0.0, error_rates=EXACT), MODEL) as process:
        yield process


@pytest.fixture
async def client(fast: EmulatorProcess) -> AsyncIterator[AsyncGroq]:
    async with AsyncGroq(api_key="gsk_any", base_url=fast.url, max_retries=0) as made:
        yield made


async def test_sdk_parses_a_completion_and_its_headers(client: AsyncGroq):
    raw = await client.chat.completions.with_raw_response.create(
        model=MODEL, messages=messages(), max_completion_tokens=512, reasoning_effort="low", seed=3, temperature=0
    )
    completion = await raw.parse()
    assert completion.usage is not None
    assert completion.x_groq is not None
    content = completion.choices[0].message.content
    assert content is not None
    assert [(call["pos"], call["ref"], call["alt"]) for call in json.loads(content)["calls"]] == [(9, "A", "T")]
    assert completion.choices[0].message.reasoning
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    shown = [name for name in raw.headers if name.startswith("x-ratelimit-")]
    assert len(shown) == 6
    assert raw.headers["content-type"] == "application/json"


async def test_sdk_lists_models_with_prices(client: AsyncGroq):
    listed = await client.models.list()
    assert MODEL in [model.id for model in listed.data]
    model = await client.models.retrieve(MODEL)
    assert model.model_extra is not None
    assert model.model_extra["pricing"]["prompt"] == "0.000000075"
    assert model.model_extra["context_window"] == 131072
    with pytest.raises(groq.NotFoundError):
        await client.models.retrieve("nobody/knows")


async def test_sdk_raises_its_own_errors(client: AsyncGroq, fast: EmulatorProcess):
    with pytest.raises(groq.BadRequestError) as gone:
        await client.chat.completions.create(model="llama-3.1-8b-instant", messages=messages())
    assert isinstance(gone.value.body, dict)
    assert gone.value.body["error"]["code"] == "model_decommissioned"
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{fast.url}/openai/v1/chat/completions", json={}) as response:
            assert response.status == 401
        async with session.get(f"{fast.url}/openai/v1/models") as response:
            assert response.status == 401
        async with session.get(f"{fast.url}/elsewhere") as response:
            assert response.status == 404


async def test_a_prefix_before_the_path_is_accepted(fast: EmulatorProcess):
    async with AsyncGroq(api_key="k", base_url=f"{fast.url}/any/prefix", max_retries=0) as client:
        assert (await client.models.list()).data


async def test_limits_reach_the_sdk_as_429_and_413():
    config = EmulatorConfig(tier="free", latency_scale=0.0, requests_per_minute=2)
    with EmulatorProcess.start(config, MODEL) as process:
        async with AsyncGroq(api_key="k", base_url=process.url, max_retries=0) as client:
            for number in range(2):
                await client.chat.completions.create(model=MODEL, messages=messages(f"r{number}"), max_completion_tokens=64)
            with pytest.raises(groq.RateLimitError) as limited:
                await client.chat.completions.create(model=MODEL, messages=messages("r2"), max_completion_tokens=64)
            assert 1 <= int(limited.value.response.headers["retry-after"]) <= 30
            with pytest.raises(groq.APIStatusError) as too_large:
                await client.chat.completions.create(model=MODEL, messages=messages("r3"), max_completion_tokens=8000)
            assert too_large.value.status_code == 413
        summary = await control(process.url, "summary")
        assert summary["requests"]["by_status"] == {"200": 2, "413": 1, "429": 1}
        assert summary["http_429"]["RPM"] == 1
        page = await control(process.url, "ledger?offset=1")
        assert [entry["status"] for entry in page["entries"]] == [200, 429, 413]
        assert [entry["retry_count"] for entry in page["entries"]] == [0, 0, 0]
        assert sum(Decimal(entry["billed_usd"]) for entry in page["entries"]) < Decimal(summary["bill_usd"])


async def test_a_client_that_hangs_up_is_in_the_ledger():
    with EmulatorProcess.start(EmulatorConfig(tier="unlimited", latency_scale=100.0), MODEL) as process:
        async with AsyncGroq(api_key="k", base_url=process.url, max_retries=0, timeout=0.5) as client:
            with pytest.raises(groq.APITimeoutError):
                await client.chat.completions.create(model=MODEL, messages=messages("left"), max_completion_tokens=512)
        async with asyncio.timeout(30):
            while (page := await control(process.url, "ledger"))["total"] == 0:  # noqa: ASYNC110  it is another process
                await asyncio.sleep(0.02)
        (entry,) = page["entries"]
        assert (entry["status"], entry["client_saw_it"], entry["read_ids"]) == (499, False, ["left"])
        assert Decimal(entry["billed_usd"]) > 0


async def test_concurrent_requests_all_fit_and_no_bound_breaks(client: AsyncGroq, fast: EmulatorProcess):
    before = await control(fast.url, "summary")
    await asyncio.gather(
        *(client.chat.completions.create(model=MODEL, messages=messages(f"c{n}"), max_completion_tokens=128) for n in range(40))
    )
    after = await control(fast.url, "summary")
    assert after["answers"]["reads"] - before["answers"]["reads"] == 40
    assert after["in_flight"] == 0
    assert after["invariants_broken"] == []


async def test_packed_reads_and_their_rows_reach_the_client():
    config = EmulatorConfig(tier="unlimited", latency_scale=0.0, error_rates=EXACT, faults=EmulatorFaults(drop_id=1.0))
    packed = [{"role": "user", "content": "\n\n".join(prompt(f"p{n}", "ACGTTGCAAGCTTACG", "ACGTTGCATGCTTACG") for n in range(3))}]
    with EmulatorProcess.start(config, MODEL) as process:
        async with AsyncGroq(api_key="k", base_url=process.url, max_retries=0) as client:
            completion = await client.chat.completions.create(model=MODEL, messages=packed, max_completion_tokens=512)  # type: ignore[arg-type]
        content = completion.choices[0].message.content
        assert content is not None
        answered = {item["id"] for item in json.loads(content)["reads"]}
        assert len(answered) == 2
        page = await control(process.url, "reads?offset=1&limit=2")
        assert (page["total"], page["offset"], page["next_offset"]) == (3, 1, 3)
        for row in (await control(process.url, "reads"))["entries"]:
            expected = (None, [[9, "A", "T"]]) if row["id"] in answered else ("drop_id", None)
            assert (row["fault"], row["calls"]) == expected
        assert (await control(process.url, "summary"))["faults"] == {"drop_id": 1}
        async with aiohttp.ClientSession() as session, session.get(f"{process.url}/_ctl/reads?offset=x") as response:
            assert response.status == 400


async def test_a_refusal_is_one_for_the_sdk_too():
    with EmulatorProcess.start(EmulatorConfig(tier="unlimited", latency_scale=0.0, faults=EmulatorFaults(refusal=1.0)), MODEL) as process:
        async with AsyncGroq(api_key="k", base_url=process.url, max_retries=0) as client:
            completion = await client.chat.completions.create(model=MODEL, messages=messages(), max_completion_tokens=512)
        message = completion.choices[0].message
        assert message.content is None
        assert message.model_extra is not None
        assert message.model_extra["refusal"]
        assert completion.system_fingerprint == "fp_emulator00"


async def test_the_control_plane_changes_limits_capacity_and_outages_while_it_runs():
    config = EmulatorConfig(tier="unlimited", latency_scale=1.0, error_rates=EXACT)
    with EmulatorProcess.start(config, MODEL) as process:
        async with aiohttp.ClientSession() as session, AsyncGroq(api_key="k", base_url=process.url, max_retries=0) as client:

            async def put(keys: dict[str, Any]) -> int:
                async with session.post(f"{process.url}/_ctl/set", json=keys) as response:
                    return response.status

            async def served(count: int) -> list[float]:
                asked = [client.chat.completions.create(model=MODEL, messages=messages(f"s{n}")) for n in range(count)]
                usages = [completion.usage for completion in await asyncio.gather(*asked)]
                return [(usage.completion_time or 0.0) / usage.completion_tokens for usage in usages if usage is not None]

            alone = max(await served(8))
            assert await put({"hidden_capacity": 2}) == 200
            assert min(await served(8)) > 1.5 * alone
            assert await put({"outages": [{"status": "close", "for_s": 1000}]}) == 200
            with pytest.raises(groq.APIConnectionError):
                await served(1)
            assert await put({"outages": [], "hidden_capacity": None}) == 200
            assert max(await served(8)) == pytest.approx(alone)
            assert await put({"hidden": 3}) == 400
        summary = await control(process.url, "summary")
        assert summary["refused"] == {"total": 1, "by_kind": {"0": 1}}
        assert summary["invariants_broken"] == []
