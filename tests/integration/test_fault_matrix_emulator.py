"""The taxonomy row by row, with the emulator's own faults, over HTTP and through the real engine and the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from fix_analyzer import RIGHT, read
from helix_ray.analysis.read_answer import ReadAnswer, reread_answer
from helix_ray.config.emulator import DELIVERY_FAULTS, REFUSALS, EmulatorConfig
from helix_ray.providers.groq.errors import TAXONOMY
from helix_ray.records import CallState, Disposition
from support.fault_run import Run, TieredThrottle, run_one_analyzer
from support.served_emulator import ServedEmulator

MODEL = "openai/gpt-oss-20b"
LONG_S = 600.0

# Row of the taxonomy: the outcome, and each fault that belongs there with the error kind that its request is recorded with.
ROWS: dict[str, tuple[str, dict[str, str | None]]] = {
    "2xx, a completion": ("answered", {"idle_close": None}),
    "429, a limit is used up": (
        "wait",
        dict.fromkeys(("limit_rpm", "limit_rpd", "limit_tpm", "limit_tpd", "limit_itpm", "limit_otpm"), "rate_limited"),
    ),
    "413": ("shrink", {"too_large": "request_too_large"}),
    "401, 402, 403, 404, HTML too": (
        "stop the run",
        {
            "unauthorized": "invalid_api_key",
            "forbidden": "model_permission_blocked_project",
            "forbidden_html": "http_403",
            "model_gone": "model_not_found",
        },
    ),
    "4xx: model gone, spend limit, key, parameter": (
        "stop the run",
        {"decommissioned": "model_decommissioned", "spend_limit": "blocked_api_access"},
    ),
    "4xx: invalid JSON generated": ("repair with more room", {"json_validate_failed": "json_validate_failed"}),
    "422": ("retry", {"unprocessable": "http_422"}),
    "498, no room in the flex tier": ("rest", {"capacity": "capacity_exceeded"}),
    "408, 409, 425, 499": ("retry", {"request_timeout": "http_408", "conflict": "http_409", "cancelled": "http_499"}),
    "503, over capacity": ("retry", {"overloaded": "http_503", "overloaded_wait": "http_503"}),
    "500, 502, any other 5xx, HTML too": ("retry", {"internal": "http_500", "bad_gateway": "http_502"}),
    "any other 4xx: parameters, context, 424": ("dead letter api_failed", {"bad_parameter": "http_400", "dependency": "http_424"}),
    "2xx, no completion: empty, cut off, HTML, no choices, wrong types": (
        "retry",
        dict.fromkeys(("truncated_json", "empty_body", "html_200", "no_choices", "wrong_types"), "broken_body"),
    ),
    "sent, no answer: reset, closed, deadline, unreadable": (
        "retry",
        {
            "reset_before": "reset",
            "close_before": "disconnected",
            "reset_body": "reset",
            "close_body": "reset",
            "hang_before": "deadline",
            "hang_body": "deadline",
            "endless_body": "unreadable",
            "drip": "deadline",
            "slow_accept": "deadline",
        },
    ),
    "not sent: refused, no such host, no connection in time": ("retry", {}),  # by an emulator that is gone, below
}
NOT_INJECTED = {
    "429, no credit left",  # unit tests of `classify`
    "429, larger than the limit alone",  # the API says 413 to these now, and so does the emulator
    "3xx, which is not followed",  # no API redirects its own clients, and no documented error
    "any other status",  # has none of its own
}
FAULTS = {name: (outcome, kind) for outcome, faults in ROWS.values() for name, kind in faults.items()}
SECONDS = {"overloaded_wait": 0.0, "drip": 0.05, "hang_before": LONG_S, "hang_body": LONG_S, "slow_accept": 1.5}


def test_every_row_and_every_fault_is_here() -> None:
    assert set(ROWS) | NOT_INJECTED == {rule.ending for rule in TAXONOMY}
    assert set(FAULTS) == {*REFUSALS, *DELIVERY_FAULTS}


@asynccontextmanager
async def served(*script: dict[str, Any], **settings: Any) -> AsyncIterator[ServedEmulator]:
    exact = {"drop": 0.0, "shift": 0.0, "hallucinate": 0.0}
    config = {"tier": "unlimited", "latency_scale": 0.0, "error_rates": exact, "script": list(script), **settings}
    async with ServedEmulator(EmulatorConfig.model_validate(config), MODEL) as emulated:
        yield emulated


def step(name: str, last: int = 1) -> dict[str, Any]:
    return {"request": 1, "last": last, "fault": name, "seconds": SECONDS.get(name)}


def nothing_but_answers(it: Run, emulated: ServedEmulator) -> None:
    """What is stored is what the emulator's model answered, to a client that saw it whole; and both ledgers tell the same."""
    it.books_are_complete()
    entries: Any = emulated.chat.ledger.entries.page(0, 100_000)["entries"]
    by_id = {entry["id"]: entry for entry in entries}
    request_ids = {call.call_id: call.provider_request_id for call in it.sink.calls}
    for result in it.sink.results:
        if result.disposition is Disposition.STORED:
            entry = by_id[request_ids[result.call_id or ""] or ""]
            assert (entry["status"], entry["client_saw_it"]) == (200, True)
            assert entry["fault"] in (None, "idle_close")
            answer = reread_answer(result.raw_answer or "")
            assert isinstance(answer, ReadAnswer)
            assert [call[:3] for call in answer.calls] == RIGHT
    seen = sum(Decimal(entry["billed_usd"]) for entry in entries if entry["client_saw_it"])
    assert sum(call.cost_usd for call in it.sink.calls if call.state is CallState.ANSWERED) == seen
    assert emulated.chat.summary()["invariants_broken"] == []


async def until_requests(emulated: ServedEmulator, count: int) -> None:
    """Those of a connection that nobody reads come late."""
    async with asyncio.timeout(LONG_S):
        while emulated.chat.ledger.entries.total < count:  # noqa: ASYNC110  (the ledger is the signal)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_has_its_outcome(name: str) -> None:
    outcome, error_kind = FAULTS[name]
    async with served(step(name)) as emulated:
        it = await run_one_analyzer(emulated.url, [read(0)])
        if name == "slow_accept":
            await until_requests(emulated, 2)
        await emulated.quiet()
        nothing_but_answers(it, emulated)
        rows: Any = emulated.chat.ledger.entries.page(0, 100)["entries"]
    assert it.outcome() == outcome
    assert it.sink.calls[0].error_kind == error_kind
    assert name in {row["fault"] for row in rows}
    if outcome == "stop the run":
        assert (len(rows), it.queue.nacked, it.sink.results) == (1, [0], [])


@pytest.mark.parametrize("name", [*ROWS["429, a limit is used up"][1], "capacity", "overloaded", "overloaded_wait"])
async def test_what_is_no_failure_of_a_read_never_spends_its_attempts(name: str) -> None:
    async with served(step(name, last=25)) as emulated:
        it = await run_one_analyzer(emulated.url, [read(0)])
        nothing_but_answers(it, emulated)
    (result,) = it.sink.results
    assert (result.disposition, result.attempts, len(it.payloads)) == (Disposition.STORED, 1, 26)


async def test_an_emulator_that_is_gone_costs_nothing() -> None:
    async with served() as emulated:
        url = emulated.url
    throttle = TieredThrottle(patience=30)
    with pytest.raises(TimeoutError):
        await _until_exhausted(url, throttle)
    assert {settlement.outcome for settlement in throttle.settlements} == {"not_sent"}


async def test_without_room_in_flex_a_request_goes_on_demand() -> None:
    async with served(step("capacity")) as emulated:
        it = await run_one_analyzer(emulated.url, [read(0)], service_tier="flex", on_capacity_exceeded="on_demand")
        nothing_but_answers(it, emulated)
    assert it.outcome() == "other tier"


async def test_a_mixture_by_chance_ends_with_every_read_in_its_place() -> None:
    """Every fault that a run survives, at once, against packed requests."""
    ends_well = {name: 0.02 for name, (outcome, _) in FAULTS.items() if not outcome.startswith(("stop", "dead"))}
    for ends_a_read_at_the_second in ("json_validate_failed", "unprocessable"):
        del ends_well[ends_a_read_at_the_second]
    faults = {**ends_well, "hang_s": LONG_S, "drip_s": 0.05, "slow_accept": 0.0, "overloaded_wait": 0.0}
    async with served(faults=faults) as emulated:
        it = await run_one_analyzer(
            emulated.url, [read(index) for index in range(400)], max_attempts=20, reads_per_request=4, requests_in_flight=8
        )
        await emulated.quiet()
        nothing_but_answers(it, emulated)
        happened: Any = emulated.chat.summary()["faults"]
    assert sorted(result.read.read_index for result in it.sink.results) == list(range(400))
    assert [(result.error_kind, result.error) for result in it.sink.results if result.disposition is not Disposition.STORED] == []
    assert len(happened) > 15


async def _until_exhausted(url: str, throttle: TieredThrottle) -> None:
    """Raises TimeoutError when the throttle has seen enough: the run itself goes on for ever."""
    run = asyncio.ensure_future(run_one_analyzer(url, [read(0)], throttle=throttle))
    exhausted = asyncio.ensure_future(throttle.exhausted.wait())
    await asyncio.wait([run, exhausted], return_when=asyncio.FIRST_COMPLETED)
    if run.done():
        run.result()
        return
    run.cancel()
    await asyncio.wait([run])
    raise TimeoutError
