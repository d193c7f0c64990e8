"""Outages by script: who is refused, in which words, for how long, and what stays as it was."""

from __future__ import annotations

from typing import Any

import pytest

from helix_ray.config.emulator import EmulatorOutage
from support.emulator_chat_case import MODEL, Time, ask, chat, error

STEADY = {"tier": "developer", "tokens_per_minute": 36_000}


def test_a_day_without_quota_is_told_as_the_bucket_law_would():
    time = Time()
    service = chat(time, **STEADY, outages=[EmulatorOutage(limit="TPD", after_s=40, for_s=100, retry_after_s=432)])
    time.now += 500  # the clock of the script starts with the first request
    assert ask(service).status == 200
    time.now += 39.9
    assert ask(service).status == 200
    time.now += 0.2
    before = service.summary()["buckets"]
    reply = ask(service)
    headers = dict(reply.headers)
    assert (reply.status, headers[b"retry-after"], error(reply)["code"]) == (429, b"432", "rate_limit_exceeded")
    assert "on tokens per day (TPD): Limit 518400000, Used " in error(reply)["message"]
    assert "Please try again in 7m12s." in error(reply)["message"]
    assert int(headers[b"x-ratelimit-remaining-tokens"]) > 35_000  # the minute is healthy
    after: Any = service.summary()["buckets"]
    assert after[MODEL]["TPM"]["settled"] == before[MODEL]["TPM"]["settled"]  # type: ignore[index]
    time.now += 99.8
    assert ask(service).status == 429
    time.now += 0.2
    assert ask(service).status == 200
    summary: Any = service.summary()
    assert summary["http_429"]["TPD"] == 2
    assert summary["refused"] == {"total": 2, "by_kind": {"429 TPD": 2}}
    assert summary["outages"]["active"] is None
    assert summary["invariants_broken"] == []


def test_a_limit_that_is_in_force_shows_its_own_figure_and_the_time_left():
    service = chat(tier="free", outages=[EmulatorOutage(limit="TPD", for_s=864.0)])
    reply = ask(service)
    assert dict(reply.headers)[b"retry-after"] == b"864"
    assert "(TPD): Limit 200000, Used 20" in error(reply)["message"]
    assert "Please try again in 14m24s." in error(reply)["message"]


def test_headers_agree_with_an_outage_of_what_they_show():
    service = chat(**STEADY, outages=[EmulatorOutage(limit="TPM", for_s=30.0)])
    headers = dict(ask(service).headers)
    assert headers[b"x-ratelimit-remaining-tokens"] == b"0" or int(headers[b"x-ratelimit-remaining-tokens"]) < 700
    assert headers[b"x-ratelimit-limit-tokens"] == b"36000"


@pytest.mark.parametrize(("status", "part"), [(500, "Internal Server Error"), (503, "is currently over capacity. Please try again")])
def test_an_api_that_is_out_refuses_everybody_before_it_looks(status: int, part: str):
    time = Time()
    outage = EmulatorOutage.model_validate({"status": status, "for_s": 5.0, "retry_after_s": 40 if status == 503 else None})
    service = chat(time, outages=[outage])
    for authorization in ("Bearer x", None):
        reply = ask(service, authorization=authorization)
        assert reply.status == status
        assert part in error(reply)["message"]
        assert error(reply)["type"] == "internal_server_error"
        assert dict(reply.headers).get(b"retry-after") == (b"40" if status == 503 else None)
    time.now += 5
    assert ask(service).status == 200
    assert service.summary()["refused"] == {"total": 2, "by_kind": {str(status): 2}}


def test_a_new_script_starts_its_clock_at_once():
    time = Time()
    service = chat(time)
    assert ask(service).status == 200
    time.now += 1000
    config = service.config.model_copy(update={"outages": [EmulatorOutage(limit="RPM", after_s=1, for_s=2)]})
    service.change(config, {"outages"})
    assert ask(service).status == 200
    time.now += 1
    reply = ask(service)
    assert reply.status == 429
    assert "on requests per minute (RPM): Limit 1000, Used 10" in error(reply)["message"]
    time.now += 2
    assert ask(service).status == 200
