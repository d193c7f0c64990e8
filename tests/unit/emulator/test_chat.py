"""The completions endpoint without sockets: order of checks, admission, limits, settlement, bill, ledger and summary."""

import json
from decimal import Decimal
from typing import Any, cast

import pytest

from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.emulator.published import Reply
from helix_ray.emulator.records import Ledger, ReadEntry, RequestEntry, totals
from helix_ray.emulator.scripted_model import ScriptedAnswer
from support.emulator_case import MODEL, Time, admitted, ask, chat, error, payload


def test_success_body_has_the_shape_of_captured_ones():
    body = json.loads(ask(chat()).body)
    assert list(body) == [
        "id", "object", "created", "model", "choices", "usage", "usage_breakdown", "system_fingerprint", "x_groq", "service_tier",
    ]  # fmt: skip
    assert body["id"].startswith("chatcmpl-")
    assert len(body["id"]) == len("chatcmpl-") + 36
    assert len(body["x_groq"]["id"]) == len("req_") + 26
    assert body["x_groq"]["seed"] == 7
    assert body["system_fingerprint"] == "fp_emulator00"
    assert (body["object"], body["model"], body["service_tier"]) == ("chat.completion", MODEL, "on_demand")
    choice = body["choices"][0]
    assert (choice["index"], choice["logprobs"], choice["finish_reason"]) == (0, None, "stop")
    assert set(choice["message"]) == {"role", "content", "reasoning"}
    assert json.loads(choice["message"]["content"]) == {
        "id": "r9", "calls": [{"pos": 9, "ref": "A", "alt": "T", "confidence": pytest.approx(0.92, abs=0.08)}],
    }  # fmt: skip
    usage = body["usage"]
    assert set(usage) == {
        "queue_time", "prompt_tokens", "prompt_time", "completion_tokens", "completion_time", "total_tokens", "total_time",
        "completion_tokens_details",
    }  # fmt: skip
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]


def test_times_reported_are_those_to_be_slept():
    service = chat(latency_scale=1.0)
    admitted = service.begin("Bearer x", 0, json.dumps(payload()).encode())
    assert isinstance(admitted, Admitted)
    usage = json.loads(service.finish(admitted, False).body)["usage"]
    assert usage["queue_time"] == admitted.timing.queue_s
    assert usage["total_time"] == pytest.approx(admitted.timing.prompt_s + admitted.timing.completion_s, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "status", "part"),
    [
        ({"messages": []}, 400, "minimum number of items is 1"),
        ({"messages": [{"role": "user"}]}, 400, "messages.0.content"),
        ({"temperature": 3}, 400, "temperature"),
        ({"n": 2}, 400, "'n'"),
        ({"stream": True}, 400, "stream"),
        ({"max_completion_tokens": 0}, 400, "max_completion_tokens"),
        ({"service_tier": "performance"}, 400, "service_tier"),
        ({"model": "llama-3.1-8b-instant"}, 400, "has been decommissioned and is no longer supported"),
        ({"model": "nobody/knows"}, 404, "does not exist or you do not have access to it"),
        ({"reasoning_effort": "none"}, 400, "reasoning_effort"),
        ({"max_completion_tokens": 65537}, 400, "must be less than or equal to `65536`"),
        ({"messages": [{"role": "user", "content": "word " * 120_000}]}, 400, "Please reduce the length of the messages"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}}}}, 400,
         "additionalProperties"),
        ({"response_format": {"type": "yaml"}}, 400, "response_format"),
    ],
)  # fmt: skip
def test_refused_before_any_limit(changes: dict[str, Any], status: int, part: str):
    service = chat()
    reply = ask(service, **changes)
    assert reply.status == status
    assert part in error(reply)["message"]
    assert error(reply)["type"] == "invalid_request_error"
    assert service.summary()["tokens"]["admitted"] == 0


def test_order_of_checks():
    service = chat(tier="free", requests_per_minute=1)
    assert ask(service).status == 200  # the minute's only request
    bad = {"model": "nobody/knows", "temperature": 9}
    assert ask(service, authorization=None, **bad).status == 401
    assert error(ask(service, authorization="Basic x"))["code"] == "invalid_api_key"
    assert ask(service, **bad).status == 400  # parameters before the model
    assert ask(service, model="nobody/knows").status == 404
    assert ask(service, max_completion_tokens=65537).status == 400
    assert ask(service, max_completion_tokens=8000).status == 413  # too large before rate limited
    assert ask(service).status == 429


def test_bodies_that_are_no_object():
    service = chat()
    for body in (b"", b"{", b"[]", b"\xff", b"{}"):
        reply = service.begin("Bearer x", None, body)
        assert isinstance(reply, Reply)
        assert reply.status == 400


def test_429_carries_headers_body_and_retry_after():
    time = Time()
    service = chat(time, tier="free")
    for _ in range(30):
        assert ask(service, max_completion_tokens=16).status == 200
    reply = ask(service, max_completion_tokens=16)
    assert reply.status == 429
    headers = dict(reply.headers)
    assert headers[b"retry-after"] == b"2"
    assert "(RPM): Limit 30, Used 30, Requested 1. Please try again in 2s." in error(reply)["message"]
    assert sum(name.startswith(b"x-ratelimit-") for name in headers) == 6
    assert headers[b"x-ratelimit-remaining-requests"] == b"970"  # of the day; the minute is never shown
    time.now += 2
    assert ask(service, max_completion_tokens=16).status == 200
    assert service.summary()["http_429"] == {"RPM": 1, "RPD": 0, "TPM": 0, "TPD": 0, "ITPM": 0, "OTPM": 0}


@pytest.mark.parametrize("refund", [True, False])
def test_refund_switch(refund: bool):
    service = chat(tier="developer", refund=refund)
    body = json.loads(ask(service).body)["usage"]
    requested = body["prompt_tokens"] + 512
    summary: Any = service.summary()
    assert summary["tokens"]["admitted"] == requested
    assert summary["tokens"]["charged"] == (body["total_tokens"] if refund else requested)
    assert summary["tokens"]["billed"] == body["total_tokens"]
    assert summary["buckets"][MODEL]["TPM"]["settled"] == summary["tokens"]["charged"]
    assert summary["buckets"][MODEL]["RPM"]["settled"] == 1


def test_while_in_flight_the_whole_budget_is_reserved():
    service = chat(tier="free")
    admitted = service.begin("Bearer x", 0, json.dumps(payload(max_completion_tokens=6000)).encode())
    assert isinstance(admitted, Admitted)
    refused = ask(service, max_completion_tokens=3000)
    assert refused.status == 429
    assert "(TPM)" in error(refused)["message"]
    service.finish(admitted, False)
    assert ask(service, max_completion_tokens=3000).status == 200


def test_budget_defaults_to_1024_when_absent():
    service = chat()
    usage = json.loads(ask(service, max_completion_tokens=None).body)["usage"]
    assert service.summary()["tokens"]["admitted"] == usage["prompt_tokens"] + 1024


def test_too_small_a_budget_ends_in_length():
    body = json.loads(ask(chat(), max_completion_tokens=40).body)
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 40
    with pytest.raises(json.JSONDecodeError):
        json.loads(body["choices"][0]["message"]["content"])
    nothing = json.loads(ask(chat(), max_completion_tokens=16).body)
    assert nothing["choices"][0]["message"]["content"] == ""


def test_other_prompts_get_a_valid_empty_answer_and_are_counted():
    service = chat()
    body = json.loads(ask(service, messages=[{"role": "user", "content": "Say hello in JSON."}]).body)
    assert json.loads(body["choices"][0]["message"]["content"]) == {"id": "", "calls": []}
    assert service.summary()["unparsed_prompts"] == 1


def test_ledger_and_bill():
    service = chat(tier="free", error_rates=EmulatorErrorRates(drop=1.0, shift=0.0, hallucinate=0.0))
    usage = json.loads(ask(service, retries=2).body)["usage"]
    ask(service)
    ask(service, model="nobody/knows", retries=None)
    page: Any = service.ledger.entries.page(0, 10)
    assert (page["total"], page["next_offset"]) == (3, 3)
    first, second, third = page["entries"]
    billed = usage["prompt_tokens"] * Decimal("0.000000075") + usage["completion_tokens"] * Decimal("0.0000003")
    assert Decimal(first["billed_usd"]) == billed
    assert "E" not in first["billed_usd"]
    assert (first["status"], first["retry_count"], first["read_ids"], first["client_saw_it"]) == (200, 2, ["r9"], True)
    assert (first["true_calls"], first["dropped"], first["shifted"], first["hallucinated"]) == (1, 1, 0, 0)
    assert first["charged"] == usage["total_tokens"] < first["requested"]
    assert (third["status"], third["charged"], third["billed_usd"], third["retry_count"]) == (404, 0, "0", None)
    summary: Any = service.summary()
    assert Decimal(summary["bill_usd"]) == 2 * billed
    assert summary["requests"] == {"total": 3, "by_status": {"200": 2, "404": 1}}
    assert (summary["repeated_reads"], summary["sdk_retries"], summary["max_concurrent"]) == (1, 1, 1)
    assert summary["answers"] == {"reads": 2, "true_calls": 2, "dropped": 2, "shifted": 0, "hallucinated": 0}
    assert summary["invariants_broken"] == []
    assert service.ledger.entries.page(2, 10)["entries"] == [third]
    assert service.ledger.entries.page(99, 10)["entries"] == []
    assert second["id"] != first["id"]


def test_every_billed_read_has_its_row():
    service = chat(tier="free", requests_per_minute=2)
    ask(service)
    admitted = service.begin("Bearer x", 0, json.dumps(payload()).encode())
    assert isinstance(admitted, Admitted)
    service.finish(admitted, True)
    assert ask(service).status == 429
    page: Any = service.ledger.reads.page(0, 10)
    first, second = page["entries"]
    seen, left, refused = service.ledger.entries.page(0, 10)["entries"]  # type: ignore[misc]
    assert first == {
        "id": "r9", "request_id": seen["id"], "client_saw_it": True, "true_calls": 1, "dropped": 0, "shifted": 0, "hallucinated": 0,
        "fault": None, "calls": [(9, "A", "T")],
    }  # fmt: skip
    assert second == {**first, "request_id": left["id"], "client_saw_it": False}
    assert refused["read_ids"] == ["r9"]


def test_a_client_that_left_is_billed_and_noted():
    service = chat()
    admitted = service.begin("Bearer x", 0, json.dumps(payload()).encode())
    assert isinstance(admitted, Admitted)
    service.finish(admitted, True)
    entry: Any = service.ledger.entries.page(0, 1)["entries"][0]
    assert (entry["status"], entry["client_saw_it"]) == (499, False)
    assert Decimal(entry["billed_usd"]) > 0
    assert service.summary()["client_did_not_see"] == 1


def test_flex_has_its_own_buckets_and_none_on_the_free_tier():
    service = chat(tier="developer")
    assert json.loads(ask(service, service_tier="flex").body)["service_tier"] == "flex"
    summary: Any = service.summary()
    assert summary["buckets"][f"{MODEL} flex"]["RPM"]["limit"] == 10_000
    assert summary["buckets"][MODEL]["RPM"]["settled"] == 0
    assert ask(chat(tier="free"), service_tier="flex").status == 400


def test_reasoning_can_be_hidden():
    message = json.loads(ask(chat(), include_reasoning=False).body)["choices"][0]["message"]
    assert set(message) == {"role", "content"}


def test_offsets_and_totals_survive_forgotten_entries(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("helix_ray.emulator.records.MAX_ENTRIES", 20)
    service = chat(tier="unlimited")
    for _ in range(25):
        ask(service)
    page: Any = service.ledger.entries.page(0, 100)
    assert page["total"] == page["next_offset"] == 25
    assert page["offset"] == page["forgotten"] == 25 - len(page["entries"])
    assert len(page["entries"]) <= 20
    assert service.ledger.by_status[200] == 25


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
    service.ledger.append(
        RequestEntry("req_x", 0.0, 0, 200, None, 9, 9, Decimal(1), True, 5, 0, 4, None, [], *totals([]), MODEL, "on_demand", 0.0), []
    )
    (found,) = broken(service)
    assert "the bucket settled" in found


def test_sums_agree_after_entries_were_forgotten(monkeypatch: Any):
    monkeypatch.setattr("helix_ray.emulator.records.MAX_ENTRIES", 20)
    service = chat(tier="unlimited")
    for _ in range(65):
        ask(service)
    assert service.ledger.entries.page(0, 1)["forgotten"]
    assert broken(service) == []


def test_the_ledger_holds_as_much_however_many_reads_are_asked(monkeypatch: Any):
    monkeypatch.setattr("helix_ray.emulator.records.MAX_ENTRIES", 20)
    entry = RequestEntry("req_x", 0.0, 0, 200, None, 9, 9, Decimal(1), True, 5, 0, 4, None, [], *totals([]), MODEL, "on_demand", 0.0)
    ledger, nothing = Ledger(), cast(ScriptedAnswer, None)
    for number in range(90):
        ledger.append(entry, [ReadEntry("req_x", True, f"r{number}", nothing, None, True)])
        remembered = len(ledger._billed_reads) + len(ledger._billed_before)
        assert remembered + len(ledger.entries.since(0)) + len(ledger.reads.since(0)) <= 80
    assert (ledger.entries.total, ledger.repeated_reads) == (90, 0)
    ledger.append(entry, [ReadEntry("req_x", True, "r75", nothing, None, True)])
    assert ledger.repeated_reads == 1
