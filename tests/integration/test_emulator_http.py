"""The emulator over real HTTP: what the Groq SDK makes of every answer, refusal and loss, and what the ledger says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import groq
import pytest
from groq import AsyncGroq

from helix_ray.config.emulator import DELIVERY_FAULTS, REFUSALS, EmulatorConfig, EmulatorErrorRates, EmulatorFaults
from helix_ray.emulator.process import EmulatorProcess
from support.served_emulator import MODEL, ServedEmulator, messages, prompt

SHORT_S, LONG_S = 0.4, 60.0


@asynccontextmanager
async def served(*script: dict[str, Any], **emulator: Any) -> AsyncIterator[ServedEmulator]:
    settings = {"tier": "unlimited", "latency_scale": 0.0, "script": list(script), **emulator}
    async with ServedEmulator(EmulatorConfig.model_validate(settings), MODEL) as emulated:
        yield emulated


def sdk(url: str, timeout_s: float = LONG_S) -> AsyncGroq:
    return AsyncGroq(api_key="gsk_any", base_url=url, max_retries=0, timeout=timeout_s)


async def ask(client: AsyncGroq, opaque_id: str = "a1") -> Any:
    return await client.chat.completions.create(model=MODEL, messages=messages(opaque_id), max_completion_tokens=256)


async def entries(emulated: ServedEmulator) -> list[dict[str, Any]]:
    await emulated.quiet()
    page: Any = emulated.chat.ledger.entries.page(0, 1000)
    return page["entries"]


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

RAISED: dict[str, tuple[type[groq.APIStatusError], int]] = {
    **{f"limit_{kind}": (groq.RateLimitError, 429) for kind in ("rpm", "rpd", "tpm", "tpd", "itpm", "otpm")},
    "too_large": (groq.APIStatusError, 413),
    "capacity": (groq.APIStatusError, 498),
    "internal": (groq.InternalServerError, 500),
    "bad_gateway": (groq.InternalServerError, 502),
    "overloaded": (groq.InternalServerError, 503),
    "overloaded_wait": (groq.InternalServerError, 503),
    "request_timeout": (groq.APIStatusError, 408),
    "conflict": (groq.ConflictError, 409),
    "cancelled": (groq.APIStatusError, 499),
    "json_validate_failed": (groq.BadRequestError, 400),
    "bad_parameter": (groq.BadRequestError, 400),
    "unprocessable": (groq.UnprocessableEntityError, 422),
    "dependency": (groq.APIStatusError, 424),
    "unauthorized": (groq.AuthenticationError, 401),
    "forbidden": (groq.PermissionDeniedError, 403),
    "forbidden_html": (groq.PermissionDeniedError, 403),
    "model_gone": (groq.NotFoundError, 404),
    "decommissioned": (groq.BadRequestError, 400),
    "spend_limit": (groq.BadRequestError, 400),
}


def test_every_refusal_is_here() -> None:
    assert tuple(RAISED) == REFUSALS


@pytest.mark.parametrize("name", RAISED)
async def test_the_sdk_raises_its_error_and_the_next_request_is_served(name: str) -> None:
    kind, status = RAISED[name]
    async with served({"request": 1, "fault": name}) as emulated, sdk(emulated.url) as client:
        with pytest.raises(kind) as caught:
            await ask(client)
        assert (type(caught.value), caught.value.status_code) == (kind, status)
        assert ("retry-after" in caught.value.response.headers) is (status == 429 or name == "overloaded_wait")
        assert (await ask(client)).choices
        first, second = await entries(emulated)
        assert (first["status"], first["fault"], Decimal(first["billed_usd"])) == (status, name, 0)
        assert (second["status"], second["fault"], second["client_saw_it"]) == (200, None, True)


# ── losses ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

Seen = Callable[[Any], bool]
LOST: dict[str, tuple[type[BaseException] | Seen, float]] = {
    "truncated_json": (json.JSONDecodeError, LONG_S),
    "empty_body": (json.JSONDecodeError, LONG_S),
    "html_200": (lambda answer: isinstance(answer, str), LONG_S),
    "no_choices": (lambda answer: answer.choices == [], LONG_S),
    "wrong_types": (lambda answer: answer.choices[0].message.content == 42 and answer.usage.prompt_tokens == "many", LONG_S),
    "reset_before": (groq.APIConnectionError, LONG_S),
    "close_before": (groq.APIConnectionError, LONG_S),
    "reset_body": (groq.APIConnectionError, LONG_S),
    "close_body": (groq.APIConnectionError, LONG_S),
    "hang_before": (groq.APITimeoutError, SHORT_S),
    "hang_body": (groq.APITimeoutError, SHORT_S),
    "endless_body": (TimeoutError, LONG_S),
    "drip": (TimeoutError, LONG_S),  # a byte now and then keeps the SDK's own timeout from ever firing
    "idle_close": (lambda answer: bool(answer.choices), LONG_S),
    "slow_accept": (groq.APITimeoutError, SHORT_S),
}
LEFT = ("hang_before", "hang_body", "endless_body", "drip", "slow_accept")
CUT = {"reset_before": "ReadError", "close_before": "RemoteProtocolError", "reset_body": "ReadError", "close_body": "RemoteProtocolError"}


def test_every_loss_is_here() -> None:
    assert tuple(LOST) == DELIVERY_FAULTS


@pytest.mark.parametrize("name", LOST)
async def test_the_sdk_gets_no_answer_that_was_billed_all_the_same(name: str) -> None:
    outcome, timeout_s = LOST[name]
    faults = {"hang_s": 2.0, "drip_s": 0.05} if name == "slow_accept" else {"drip_s": 0.05}
    async with served({"request": 1, "fault": name}, faults=faults) as emulated:
        async with sdk(emulated.url, timeout_s) as client:
            if isinstance(outcome, type):
                with pytest.raises(outcome) as caught:
                    async with asyncio.timeout(SHORT_S if outcome is TimeoutError else LONG_S):
                        await ask(client)
                if name in CUT:
                    assert type(caught.value.__cause__).__name__ == CUT[name]
            else:
                assert outcome(await ask(client))
        async with asyncio.timeout(LONG_S):
            while not emulated.chat.ledger.entries.total:  # noqa: ASYNC110  (a connection that is not read shows nothing)
                await asyncio.sleep(0.01)
        async with sdk(emulated.url) as client:
            assert (await ask(client)).choices
        first, second = await entries(emulated)
        assert (first["status"], first["fault"]) == (499 if name in LEFT else 200, name)
        assert first["client_saw_it"] is (name == "idle_close")
        assert Decimal(first["billed_usd"]) > 0
        assert (second["fault"], second["client_saw_it"]) == (None, True)
        summary: Any = emulated.chat.summary()
        assert (summary["in_flight"], summary["invariants_broken"]) == (0, [])
        assert summary["bill_usd"] == f"{Decimal(first['billed_usd']) + Decimal(second['billed_usd']):f}"


@pytest.mark.parametrize("name", ["hang_before", "hang_body", "drip", "slow_accept"])
async def test_who_waits_gets_the_whole_answer(name: str) -> None:
    seconds = 0.0 if name == "drip" else 0.2
    async with served({"request": 1, "fault": name, "seconds": seconds}) as emulated, sdk(emulated.url) as client:
        assert json.loads((await ask(client)).choices[0].message.content)["calls"] is not None
        (entry,) = await entries(emulated)
        assert (entry["status"], entry["fault"], entry["client_saw_it"]) == (200, name, True)


async def test_a_closed_connection_is_replaced_without_a_word() -> None:
    async with served({"request": 1, "last": 5, "fault": "idle_close"}) as emulated, sdk(emulated.url) as client:
        for number in range(10):
            async with asyncio.timeout(LONG_S):
                while emulated.connections and number < 6:  # noqa: ASYNC110  (until it is seen to be closed)
                    await asyncio.sleep(0)
            assert (await ask(client, f"r{number}")).choices
        assert {entry["client_saw_it"] for entry in await entries(emulated)} == {True}


async def test_faults_by_chance_hit_as_many_as_they_say_and_the_ledger_names_each() -> None:
    rates = {"internal": 0.2, "reset_body": 0.2, "truncated_json": 0.2, "refusal": 0.5}
    async with served(faults=rates) as emulated, sdk(emulated.url) as client:
        answers = await asyncio.gather(*(ask(client, f"r{number}") for number in range(300)), return_exceptions=True)
        rows = await entries(emulated)
    failures = {
        "internal": sum(isinstance(answer, groq.InternalServerError) for answer in answers),
        "reset_body": sum(isinstance(answer, groq.APIConnectionError) for answer in answers),
        "truncated_json": sum(isinstance(answer, json.JSONDecodeError) for answer in answers),
    }
    named = [name for row in rows for name in (row["fault"] or "").split("+")]
    assert {name: named.count(name) for name in failures} == failures
    assert all(25 < count < 95 for count in failures.values()), failures
    assert {row["fault"] for row in rows} >= {"refusal", "refusal+reset_body", None}


async def test_a_process_of_its_own_injects_the_same() -> None:
    names = ["reset_before", "close_body", "html_200", "bad_gateway"]
    script = [{"request": number, "fault": name} for number, name in enumerate(names, 1)]
    config = EmulatorConfig.model_validate(
        {"latency_scale": 0.0, "script": [*script, {"request": 1, "fault": "slow_accept", "seconds": 0.1}]}
    )
    with EmulatorProcess.start(config, MODEL) as process:
        async with sdk(process.url) as client:
            for expected in (groq.APIConnectionError, groq.APIConnectionError, None, groq.InternalServerError):
                if expected is None:
                    assert isinstance(await ask(client), str)
                else:
                    with pytest.raises(expected):
                        await ask(client)
        async with aiohttp.ClientSession() as session, session.get(f"{process.url}/_ctl/summary") as response:
            assert (await response.json())["faults"] == dict.fromkeys(sorted(names), 1)


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
