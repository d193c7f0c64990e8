"""Every refusal and every loss of the emulator over real HTTP: what the Groq SDK makes of it, and what the ledger says."""

from __future__ import annotations

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

from helix_ray.config.emulator import DELIVERY_FAULTS, REFUSALS, EmulatorConfig
from helix_ray.emulator.process import EmulatorProcess
from support.emulator_messages import MODEL, messages
from support.served_emulator import ServedEmulator

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
