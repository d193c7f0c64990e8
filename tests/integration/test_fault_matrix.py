"""Every way in which the API says no or nothing at all, over HTTP and through the real SDK: each has one outcome, and no word of
an error is ever stored as an answer.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from fix_analyzer import RIGHT, read
from helix_ray.analyzer.retry_policy import MAX_UNATTRIBUTED
from helix_ray.records import Disposition, Read
from support.fault_run import Run, TieredThrottle, run_one_analyzer
from support.fault_server import Exchange, FaultServer, drip, hang
from support.scripted_llm import completion

MARK = "not-an-answer"
"""In every error body: found in a stored result, it would have passed for one."""

Fault = Callable[[Exchange], Awaitable[None]]


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def status(code: int, error_code: str | None = None, message: str = "because", **headers: str) -> Fault:
    body = {"error": {"message": f"{message} {MARK}", "type": "invalid_request_error", "code": error_code}}

    async def behave(exchange: Exchange) -> None:
        exchange.send(code, json.dumps(body).encode(), {name.replace("_", "-"): value for name, value in headers.items()})

    return behave


def limited(kind: str, limit: int, used: int, requested: int, again: str, **headers: str) -> Fault:
    what, window = ("tokens", "requests")[kind.startswith("R")], ("minute", "day")[kind.endswith("D")]
    sentence = f"Rate limit reached on {what} per {window} ({kind}): Limit {limit}, Used {used}, Requested {requested}."
    return status(429, "rate_limit_exceeded", f"{sentence} Please try again in {again}.", **headers)


def raw(code: int, body: str, kind: str = "text/html") -> Fault:
    async def behave(exchange: Exchange) -> None:
        exchange.send(code, body.encode(), {"content-type": kind})

    return behave


def changed(change: Callable[[dict[str, Any]], None]) -> Fault:
    """An answer with something wrong in its frame."""

    async def behave(exchange: Exchange) -> None:
        body = json.loads(completion(exchange.json(), RIGHT).body)
        change(body)
        exchange.send(200, json.dumps(body).encode())

    return behave


def cut(at: float) -> Fault:
    async def behave(exchange: Exchange) -> None:
        body = completion(exchange.json(), RIGHT).body
        exchange.send(200, body[: int(len(body) * at)])

    return behave


def breaks(in_body: bool, by_reset: bool) -> Fault:
    async def behave(exchange: Exchange) -> None:
        if in_body:
            exchange.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + MARK.encode())
            await exchange.writer.drain()
        if by_reset:
            exchange.reset()
        else:
            exchange.writer.close()

    return behave


async def hang_in_body(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + MARK.encode())
    await asyncio.Event().wait()


async def endless(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        exchange.writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await exchange.writer.drain()


# ── the run under test ───────────────────────────────────────────────────────────────────────────────────────────────────


async def run_against(
    url: str | None,
    reads: Sequence[Read],
    faults: Sequence[Fault | None] = (),
    otherwise: Fault | None = None,
    **how: Any,
) -> Run:
    """The server answers with ``faults`` in turn, then with ``otherwise``; None: a right answer. ``url``: another server."""
    script = list(faults)

    async def behave(exchange: Exchange) -> None:
        fault = script.pop(0) if script else otherwise
        if fault is not None:
            await fault(exchange)
        else:
            reply = completion(exchange.json(), RIGHT)
            exchange.send(reply.status, reply.body, reply.headers)

    async with FaultServer(behave) as server:
        return await run_one_analyzer(url or server.url, reads, **how)


def nothing_but_answers(it: Run) -> None:
    """No error body has become a result, and the books are complete."""
    it.books_are_complete()
    assert not [result for result in it.sink.results if MARK in (result.raw_answer or "")]


# ── the matrix ───────────────────────────────────────────────────────────────────────────────────────────────────────────

TOO_LARGE = "Request too large on tokens per minute (TPM): Limit 8000, Requested 10092, please reduce your message size"
OVER_CAPACITY = "is currently over capacity. Please try again and back off exponentially."

MATRIX: dict[str, tuple[Fault, str]] = {
    # groq.md-like error bodies: status by status
    "400 parameter": (status(400, None, "`max_completion_tokens` must be less than or equal to 65536"), "dead letter api_failed"),
    "400 context": (status(400, "context_length_exceeded"), "dead letter api_failed"),
    "400 json_validate_failed": (status(400, "json_validate_failed", "Failed to generate JSON."), "repair with more room"),
    "400 model_decommissioned": (status(400, "model_decommissioned"), "stop the run"),
    "400 blocked_api_access": (status(400, "blocked_api_access"), "stop the run"),
    "401": (status(401, "invalid_api_key", "Invalid API Key"), "stop the run"),
    "403": (status(403, None, "project not enabled"), "stop the run"),
    "403 html": (raw(403, f"<html>{MARK}</html>"), "stop the run"),
    "404": (status(404, "model_not_found"), "stop the run"),
    "408": (status(408), "retry"),
    "409": (status(409), "retry"),
    "413": (status(413, "rate_limit_exceeded", TOO_LARGE), "shrink"),
    "413 html": (raw(413, f"<html>{MARK}</html>"), "shrink"),
    "422": (status(422), "retry"),
    "424": (status(424), "dead letter api_failed"),
    "429 TPM": (limited("TPM", 8000, 7739, 1108, "6.3525s", retry_after="7"), "wait"),
    "429 RPM": (limited("RPM", 30, 30, 1, "2s"), "wait"),
    "429 TPD beyond an hour": (limited("TPD", 100_000, 97_050, 3619, "1h9m38.016s", retry_after="4179"), "wait"),
    "429 RPD": (limited("RPD", 1000, 1000, 1, "1m26.4s", retry_after="87"), "wait"),
    "429 ITPM": (limited("ITPM", 8000, 7739, 1108, "6.3525s"), "wait"),
    "429 OTPM": (limited("OTPM", 8000, 7739, 1108, "6.3525s"), "wait"),
    "429 retry-after 0": (status(429, "rate_limit_exceeded", retry_after="0"), "wait"),
    "429 html": (raw(429, f"<html>{MARK}</html>"), "wait"),
    "429 that never fits": (limited("TPM", 7000, 0, 12_903, "50.597142857s"), "shrink"),
    "498": (status(498, "capacity_exceeded"), "rest"),
    "499": (status(499), "retry"),
    "500": (status(500, None, "internal_server_error"), "retry"),
    "500 that asks not to": (status(500, x_should_retry="false"), "retry"),
    "502 html": (raw(502, f"<html>{MARK}</html>"), "retry"),
    "503": (status(503, None, OVER_CAPACITY), "retry"),
    "503 retry-after": (status(503, None, OVER_CAPACITY, retry_after="0.01"), "retry"),
    "302": (status(302, location="/elsewhere"), "stop the run"),
    # the transport
    "reset before the headers": (breaks(in_body=False, by_reset=True), "retry"),
    "closed before the headers": (breaks(in_body=False, by_reset=False), "retry"),
    "reset in the body": (breaks(in_body=True, by_reset=True), "retry"),
    "closed in the body": (breaks(in_body=True, by_reset=False), "retry"),
    "hang before the headers": (hang, "retry"),
    "hang in the body": (hang_in_body, "retry"),
    "drip": (drip, "retry"),
    "endless body": (endless, "retry"),
    # a 200 that is none
    "truncated json": (cut(0.5), "retry"),
    "json without its end": (cut(0.999), "retry"),
    "empty body": (raw(200, "", "application/json"), "retry"),
    "204-like": (raw(204, "", "application/json"), "retry"),
    "html 200": (raw(200, f"<html>{MARK}</html>"), "retry"),
    "error in a 200": (status(200, "internal_server_error"), "retry"),
    "no choices": (changed(lambda body: body.update(choices=[])), "retry"),
    "choices of another type": (changed(lambda body: body.update(choices=MARK)), "retry"),
    "a message of another type": (changed(lambda body: body["choices"][0].update(message=[MARK])), "retry"),
    "content of another type": (changed(lambda body: body["choices"][0]["message"].update(content={MARK: 1})), "retry"),
    "a list": (raw(200, f'["{MARK}"]', "application/json"), "retry"),
    # a completion, whatever else is odd about it, was paid for
    "usage of another type": (changed(lambda body: body.update(usage={"prompt_tokens": "many"})), "answered"),
    "content that is no answer": (changed(lambda body: body["choices"][0]["message"].update(content="<html>")), "repair"),
    "no content": (changed(lambda body: body["choices"][0]["message"].update(content=None)), "repair"),
}


@pytest.mark.parametrize("name", MATRIX)
async def test_each_fault_has_its_outcome(name: str) -> None:
    fault, outcome = MATRIX[name]
    it = await run_against(None, [read(0)], [fault])
    assert it.outcome() == outcome
    nothing_but_answers(it)
    if outcome == "stop the run":
        assert (len(it.payloads), it.queue.nacked, it.sink.results) == (1, [0], [])
        assert len(it.throttle.stopped) == 1


SPENDING = [name for name, (_, outcome) in MATRIX.items() if outcome == "retry" and "503" not in name and name != "422"]


@pytest.mark.parametrize("name", SPENDING)
async def test_what_never_stops_failing_ends_as_a_dead_letter(name: str) -> None:
    fault, _ = MATRIX[name]
    it = await run_against(None, [read(0)], otherwise=fault)
    assert it.outcome() == "dead letter api_failed"
    assert len(it.payloads) == MAX_UNATTRIBUTED
    nothing_but_answers(it)


@pytest.mark.parametrize("name", [name for name, (_, outcome) in MATRIX.items() if outcome in ("wait", "rest") or "503" in name])
async def test_what_is_no_failure_of_a_read_never_spends_its_attempts(name: str) -> None:
    fault, _ = MATRIX[name]
    it = await run_against(None, [read(0)], [fault] * 25)
    (result,) = it.sink.results
    assert (result.disposition, result.attempts) == (Disposition.STORED, 1)
    assert {call.attempt for call in it.sink.calls} == {1}
    assert len(it.payloads) == 26
    nothing_but_answers(it)


async def test_what_is_unprocessable_twice_and_what_cannot_be_generated_twice_end() -> None:
    for name, error_kind in (("422", "api_failed"), ("400 json_validate_failed", "schema_error")):
        it = await run_against(None, [read(0)], otherwise=MATRIX[name][0])
        assert it.outcome() == f"dead letter {error_kind}"
        assert len(it.payloads) == 2
        nothing_but_answers(it)


async def test_a_request_that_is_always_too_large_ends() -> None:
    it = await run_against(None, [read(0)], otherwise=MATRIX["413 html"][0])
    assert it.outcome() == "dead letter request_too_large"
    assert [payload["max_completion_tokens"] for payload in it.payloads] == [256, 128, 64]
    nothing_but_answers(it)


async def test_without_room_in_flex_a_request_goes_on_demand() -> None:
    it = await run_against(None, [read(0)], [MATRIX["498"][0]], service_tier="flex", on_capacity_exceeded="on_demand")
    assert it.outcome() == "other tier"
    assert [payload["service_tier"] for payload in it.payloads] == ["flex", "on_demand"]
    nothing_but_answers(it)


async def test_a_server_that_is_away_costs_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        throttle = TieredThrottle(patience=30)
        run = asyncio.create_task(run_against(url, [read(0)], throttle=throttle))
        done, _ = await asyncio.wait([run, asyncio.create_task(throttle.exhausted.wait())], return_when=asyncio.FIRST_COMPLETED)
        assert run not in done, "30 failures are no reason to give up"
        run.cancel()
        await asyncio.wait([run])
    assert {settlement.outcome for settlement in throttle.settlements} == {"not_sent"}


async def test_a_whole_mixture_ends_with_every_read_in_its_place() -> None:
    """Every fault that ends well, met in turn by packed requests."""
    faults = [fault for fault, outcome in MATRIX.values() if not outcome.startswith(("dead", "stop", "repair"))]
    script: list[Fault | None] = [step for fault in faults for step in (fault, None)]
    reads = [read(index) for index in range(200)]
    it = await run_against(None, reads, script, max_attempts=5, reads_per_request=4, requests_in_flight=8)
    assert sorted(result.read.read_index for result in it.sink.results) == list(range(200))
    nothing_but_answers(it)
    assert {result.disposition for result in it.sink.results} == {Disposition.STORED}
