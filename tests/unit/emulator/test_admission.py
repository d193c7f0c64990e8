"""Limits of input and output, refusals that count, the spend limit, and the ledger added up twice."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from helix_ray.emulator.chat import Chat
from helix_ray.emulator.records import Entry, totals
from support.emulator_chat_case import MODEL, Time, admitted, ask, chat, error


def broken(service: Chat) -> Any:
    return service.summary()["invariants_broken"]


def test_input_and_output_have_limits_of_their_own():
    service = chat(tier="developer", output_tokens_per_minute=1_000)
    held = admitted(service, max_completion_tokens=600)
    reply = ask(service, max_completion_tokens=500)
    assert reply.status == 429
    assert "(OTPM): Limit 1000, Used 600, Requested 500. Please try again in 6s." in error(reply)["message"]
    assert error(reply)["type"] == "tokens"
    service.finish(held, False)
    assert ask(service, max_completion_tokens=500).status == 200
    too_large = ask(service, max_completion_tokens=1_001)
    assert too_large.status == 413
    assert "(OTPM): Limit 1000, Requested 1001" in error(too_large)["message"]
    prompt = json.loads(ask(chat()).body)["usage"]["prompt_tokens"]
    small = chat(tier="developer", input_tokens_per_minute=2 * prompt)
    assert [ask(small).status for _ in range(3)] == [200, 200, 429]
    summary: Any = small.summary()
    assert summary["http_429"]["ITPM"] == 1
    assert summary["buckets"][MODEL]["ITPM"]["settled"] == 2 * prompt
    assert broken(small) == []


def test_a_refused_request_counts_only_where_told_so():
    for charge_rejected, second in ((False, 200), (True, 429)):
        time = Time()
        service = chat(time, tier="free", requests_per_minute=1, charge_rejected=charge_rejected)
        assert [ask(service).status for _ in range(3)] == [200, 429, 429]
        time.now += 60
        assert ask(service).status == second
        assert broken(service) == []


def test_a_spent_budget_blocks_every_request_but_bad_ones():
    service = chat(tier="developer", spend_limit_usd=0.00005)
    while (reply := ask(service)).status == 200:
        assert service.ledger.bill_usd < Decimal("0.001")
    assert (reply.status, error(reply)["code"]) == (400, "blocked_api_access")
    assert service.ledger.bill_usd >= Decimal("0.00005")
    assert ask(service, model="nobody/knows").status == 404
    assert ask(service, max_completion_tokens=70_000).status == 400
    assert error(ask(service, max_completion_tokens=70_000))["code"] == "blocked_api_access"  # before lengths are looked at
    assert ask(service, authorization=None).status == 401


def test_an_end_told_twice_is_a_breach_and_billed_once():
    service = chat(tier="developer")
    held = admitted(service)
    service.finish(held, False)
    bill = service.ledger.bill_usd
    service.record(held, True, 200)
    assert service.ledger.bill_usd == bill
    (breach,) = broken(service)
    assert "billed twice" in breach


def test_an_answer_on_its_way_is_settled_and_breaks_nothing():
    service = chat(tier="developer")
    held = admitted(service)
    service.settle(held)
    assert broken(service) == []
    service.record(held, True, 200)
    assert broken(service) == []


def test_sums_that_do_not_agree_are_found():
    service = chat(tier="developer")
    for _ in range(3):
        assert ask(service).status == 200
    assert broken(service) == []
    service.ledger.tokens["charged"] += 1
    (found,) = broken(service)
    assert found.startswith("charged tokens: entries ")
    service.ledger.tokens["charged"] -= 1
    service.ledger.append(Entry("req_x", 0.0, 0, 200, None, 9, 9, Decimal(1), True, 5, 0, 4, None, [], *totals([]), MODEL, "on_demand"), [])
    (found,) = broken(service)
    assert "the bucket settled" in found


def test_sums_agree_after_entries_were_forgotten(monkeypatch: Any):
    monkeypatch.setattr("helix_ray.emulator.records.MAX_ENTRIES", 20)
    service = chat(tier="unlimited")
    for _ in range(65):
        ask(service)
    assert service.ledger.entries.page(0, 1)["forgotten"]
    assert broken(service) == []
