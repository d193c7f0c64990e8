"""The second client: it takes its share at a steady pace, and the rest is all that the client under test is measured by."""

from __future__ import annotations

from typing import Any

import pytest

from helix_ray.config.emulator import EmulatorConfig, EmulatorNeighbour
from helix_ray.emulator.limits import BucketSet, OtherClient, amounts
from helix_ray.emulator.published import MODELS, limits_of
from support.emulator_chat_case import MODEL, Time, admit, ask, chat


def test_half_of_the_minute_is_gone_and_the_other_half_is_ours():
    time = Time()
    buckets = BucketSet(limits_of(EmulatorConfig(tokens_per_minute=36_000), MODELS[MODEL], "on_demand"))
    client = OtherClient(EmulatorNeighbour(share=0.5, request_tokens=300))
    settled = 0
    for _ in range(6000):
        time.now += 0.1
        client.catch_up(buckets, time.now)
        if admit(buckets, amounts(200, 100), time.now) is None:
            buckets.settle(amounts(200, 100), amounts(200, 100), time.now)
            settled += 300
    bucket: Any = buckets.tokens_shown.summary(time.now)
    assert bucket["settled"] == settled
    assert bucket["neighbour"] == client.tokens > 0
    assert settled + client.tokens == pytest.approx(36_000 + 600 * 599.9, rel=0.01)
    assert 0.95 < bucket["utilisation"] <= 1.0
    assert client.requests == pytest.approx(600, abs=2)  # one a second, whatever came back
    assert buckets.breaches() == []


def test_it_starts_with_the_first_request_and_is_not_in_the_ledger():
    time = Time()
    service = chat(time, tokens_per_minute=36_000, neighbour=EmulatorNeighbour(share=0.5, request_tokens=300))
    time.now += 3600
    assert ask(service).status == 200
    time.now += 10.5
    assert ask(service).status == 200
    summary: Any = service.summary()
    assert summary["requests"]["total"] == 2
    assert summary["neighbours"][MODEL] == {"share": 0.5, "requests": 11, "admitted": 11, "refused": 0, "tokens": 3300}
    assert summary["buckets"][MODEL]["RPM"]["neighbour"] == 11
    time.now += 3600  # a late summary is the same
    later: Any = service.summary()
    assert later["buckets"][MODEL]["TPM"]["utilisation"] == summary["buckets"][MODEL]["TPM"]["utilisation"]
    assert later["invariants_broken"] == []


def test_a_neighbour_that_asks_for_too_much_is_refused_too():
    time = Time()
    service = chat(time, tokens_per_minute=6_000, neighbour=EmulatorNeighbour(share=3.0, request_tokens=300))
    ask(service)
    time.now += 120
    ask(service)
    summary: Any = service.summary()
    found = summary["neighbours"][MODEL]
    assert found["refused"] > 0
    assert found["tokens"] <= 6_000 + 2 * 6_000
    assert summary["invariants_broken"] == []
