"""Faults of HTTP and the connection without a connection: which hits when, what a refusal says, and what it costs."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from helix_ray.config import Config
from helix_ray.config.emulator import ANSWER_FAULTS, DELIVERY_FAULTS, FAULTS, REFUSALS, TIMED, EmulatorConfig, EmulatorFaults, ScriptedFault
from helix_ray.config.loading import parse_config
from helix_ray.emulator.chat import Admitted, Chat
from helix_ray.emulator.faults import DELIVERIES, Injected, Injector
from helix_ray.emulator.published import Reply
from helix_ray.errors import ConfigError
from support.emulator_case import asked_reads, prompt

MODEL = "openai/gpt-oss-20b"
DOCUMENTED = Path(__file__).parents[3] / "docs/operations.md"


def service(**config: Any) -> Chat:
    settings = {"latency_scale": 0.0, "error_rates": {"drop": 0.0, "shift": 0.0, "hallucinate": 0.0}, **config}
    return Chat(EmulatorConfig.model_validate(settings), MODEL, lambda: 100.0, lambda: 1_790_000_000.0)


def begin(chat: Chat, injected: Injected | None, **changes: Any) -> Reply | Admitted:
    message = {"role": "user", "content": prompt("indexed10", *asked_reads(1))}
    payload = {"model": MODEL, "messages": [message], "max_completion_tokens": 512, **changes}
    return chat.begin("Bearer key", 0, json.dumps(payload).encode(), injected)


def refused(chat: Chat, injected: Injected, **changes: Any) -> Reply:
    reply = begin(chat, injected, **changes)
    assert isinstance(reply, Reply)
    return reply


def entries(chat: Chat) -> list[dict[str, Any]]:
    page: Any = chat.ledger.entries.page(0, 1000)
    return page["entries"]


# ── which, and when ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_name_is_of_one_kind_and_has_its_effect() -> None:
    assert len(FAULTS) == len(set(FAULTS)) == len(ANSWER_FAULTS) + len(REFUSALS) + len(DELIVERY_FAULTS)
    assert set(DELIVERY_FAULTS) == set(DELIVERIES)
    assert set(TIMED) < set(FAULTS)


def test_the_manual_lists_every_name() -> None:
    section = DOCUMENTED.read_text().partition("\n## The emulator\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\|[^|]*\|$", section, re.MULTILINE) == list(FAULTS)


def test_nothing_is_injected_by_default() -> None:
    assert not Injector(1, EmulatorFaults()).active
    assert not Injector(1, EmulatorFaults(prose=1.0)).active  # answers are damaged where they are written
    assert Injector(1, EmulatorFaults(slow_accept=0.1)).active


def test_faults_happen_as_often_as_told_and_move_no_other() -> None:
    rare, both = Injector(5, EmulatorFaults(drip=0.2)), Injector(5, EmulatorFaults(drip=0.2, internal=0.3))
    first, second = ([injector.next_request() for _ in range(4000)] for injector in (rare, both))
    dripped = {number for number, injected in enumerate(first) if injected is not None}
    assert len(dripped) / 4000 == pytest.approx(0.2, abs=0.03)
    assert {number for number, injected in enumerate(second) if injected == Injected("drip", 0.5)} < dripped
    refused_too = {number for number, injected in enumerate(second) if injected == Injected("internal")}
    assert len(refused_too) / 4000 == pytest.approx(0.3, abs=0.03)
    assert dripped <= refused_too | {number for number, injected in enumerate(second) if injected == Injected("drip", 0.5)}


def test_another_seed_draws_otherwise() -> None:
    drawn = [
        [injector.next_request() for _ in range(100)] for injector in (Injector(seed, EmulatorFaults(conflict=0.5)) for seed in (1, 2))
    ]
    assert drawn[0] != drawn[1]


def test_a_script_counts_requests_from_one_and_goes_before_chance() -> None:
    script = [
        ScriptedFault(request=2, fault="limit_tpd", seconds=432.0),
        ScriptedFault(request=4, last=5, fault="hang_body"),
        ScriptedFault(request=5, fault="internal"),
        ScriptedFault(request=6, fault="cut_json"),
    ]
    injector = Injector(1, EmulatorFaults(hang_s=9.0), script)
    expected = [
        None,
        Injected("limit_tpd", 432.0),
        None,
        Injected("hang_body", 9.0),
        Injected("hang_body", 9.0),
        Injected("cut_json"),
        None,
    ]
    assert [injector.next_request() for _ in expected] == expected
    mixed = Injector(1, EmulatorFaults(conflict=1.0), script)
    assert [injected.name for _ in range(2) if (injected := mixed.next_request())] == ["conflict", "limit_tpd"]
    injector.set(EmulatorFaults(), script[:1])
    assert [injector.next_request() for _ in range(2)] == expected[:2], "counted from the change"


def test_connections_are_counted_apart_from_requests() -> None:
    injector = Injector(1, EmulatorFaults(hang_s=7.0), [ScriptedFault(request=2, last=3, fault="slow_accept")])
    assert [injector.next_request() for _ in range(3)] == [None] * 3
    assert [injector.next_connection() for _ in range(4)] == [None, 7.0, 7.0, None]
    assert [Injector(1, EmulatorFaults(slow_accept=1.0)).next_connection()] == [30.0]


# ── what a file may say ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"request": 0, "fault": "drip"}, "emulator.script.0.request: input should be greater than or equal to 1; found number 0"),
        ({"request": 3, "fault": "dripp"}, "emulator.script.0.fault: 'dripp' is none; allowed are prose, fenced, "),
        ({"request": 3, "last": 2, "fault": "drip"}, "emulator.script.0.last: must be at least request 3, found 2"),
        ({"request": 3, "fault": "internal", "seconds": 2}, "emulator.script.0.seconds: fault internal has no length; "),
        ({"request": 3, "fault": "drip", "second": 2}, "emulator.script.0.second: unknown key"),
        ({"fault": "drip"}, "emulator.script.0.request: field required"),
    ],
)
def test_a_wrong_step_is_named(step: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"emulator": {"script": [step]}}, "test")
    (found,) = caught.value.problems
    assert found.startswith(problem)


def test_a_script_survives_the_way_to_the_emulator() -> None:
    text = "{script: [{request: 3, fault: reset_body}, {request: 5, last: 9, fault: limit_tpd, seconds: 432}]}"
    config = Config.model_validate({"emulator": yaml.safe_load(text)}).emulator
    assert EmulatorConfig.model_validate_json(config.model_dump_json()) == config
    assert config.script[1].seconds == 432


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

ANSWERS: dict[str, tuple[int, str | None]] = {
    "limit_rpm": (429, "rate_limit_exceeded"), "limit_rpd": (429, "rate_limit_exceeded"), "limit_tpm": (429, "rate_limit_exceeded"),
    "limit_tpd": (429, "rate_limit_exceeded"), "limit_itpm": (429, "rate_limit_exceeded"), "limit_otpm": (429, "rate_limit_exceeded"),
    "too_large": (413, "rate_limit_exceeded"), "capacity": (498, "capacity_exceeded"), "internal": (500, None),
    "bad_gateway": (502, "html"),
    "overloaded": (503, None), "overloaded_wait": (503, None), "request_timeout": (408, None), "conflict": (409, None),
    "cancelled": (499, None), "json_validate_failed": (400, "json_validate_failed"), "bad_parameter": (400, None),
    "unprocessable": (422, None), "dependency": (424, None), "unauthorized": (401, "invalid_api_key"),
    "forbidden": (403, "model_permission_blocked_project"), "forbidden_html": (403, "html"), "model_gone": (404, "model_not_found"),
    "decommissioned": (400, "model_decommissioned"), "spend_limit": (400, "blocked_api_access"),
}  # fmt: skip


def test_the_table_holds_every_refusal() -> None:
    assert tuple(ANSWERS) == REFUSALS


@pytest.mark.parametrize("name", ANSWERS)
def test_a_refusal_has_its_status_and_words_and_costs_nothing(name: str) -> None:
    chat = service()
    reply = refused(chat, Injected(name))
    status, code = ANSWERS[name]
    assert reply.status == status
    if code == "html":
        assert reply.body.startswith(b"<!DOCTYPE html>")
        assert dict(reply.head)[b"content-type"].startswith(b"text/html")
    else:
        error = json.loads(reply.body)["error"]
        assert error["message"]
        assert error.get("code") == code
        assert dict(reply.head)[b"content-type"] == b"application/json"
    assert sum(header.startswith(b"x-ratelimit-") for header, _ in reply.headers) == 6
    assert (b"retry-after" in dict(reply.headers)) is (status == 429 or name == "overloaded_wait")
    (entry,) = entries(chat)
    assert (entry["status"], entry["fault"], entry["charged"], entry["client_saw_it"]) == (status, name, 0, True)
    assert (Decimal(entry["billed_usd"]), len(entry["read_ids"])) == (0, 1)
    summary: Any = chat.summary()
    assert (summary["faults"], summary["in_flight"], summary["bill_usd"]) == ({name: 1}, 0, "0")
    assert isinstance(begin(chat, None), Admitted)


@pytest.mark.parametrize("kind", ["RPM", "RPD", "TPM", "TPD", "ITPM", "OTPM"])
@pytest.mark.parametrize("tier", ["free", "developer", "unlimited"])
def test_a_limit_says_what_its_law_gives(kind: str, tier: str) -> None:
    chat = service(tier=tier)
    reply = refused(chat, Injected(f"limit_{kind.lower()}", 90.0))
    message = json.loads(reply.body)["error"]["message"]
    assert f"({kind}): " in message
    limit, used, requested = (int(figure) for figure in re.findall(r"(?:Limit|Used|Requested) (\d+)", message))
    unit_s = (86_400 if kind.endswith("D") else 60) / limit
    assert 90 - 1e-6 <= (used + requested - limit) * unit_s < 90 + unit_s
    headers = dict(reply.headers)
    assert int(headers[b"retry-after"]) >= 90
    shown = {"RPD": b"requests", "TPM": b"tokens"}.get(kind)
    if shown is not None:
        assert int(headers[b"x-ratelimit-remaining-" + shown]) == max(0, limit - used)
    summary: Any = chat.summary()
    assert summary["http_429"][kind] == 1


def test_without_a_wait_the_bucket_is_just_full() -> None:
    message = json.loads(refused(service(tier="free"), Injected("limit_rpm")).body)["error"]["message"]
    assert "(RPM): Limit 30, Used 30, Requested 1. Please try again in 2s." in message


def test_a_413_names_a_limit_that_is_too_small_by_one() -> None:
    limit, requested = re.findall(
        r"(?:Limit|Requested) (\d+)", json.loads(refused(service(), Injected("too_large")).body)["error"]["message"]
    )
    assert int(limit) == int(requested) - 1


def test_an_overloaded_server_may_say_how_long() -> None:
    assert (b"retry-after", b"2") in refused(service(), Injected("overloaded_wait")).headers
    assert (b"retry-after", b"41") in refused(service(), Injected("overloaded_wait", 40.5)).headers


def test_a_generation_that_failed_looks_like_the_beginning_of_an_answer() -> None:
    begun = json.loads(refused(service(), Injected("json_validate_failed")).body)["error"]["failed_generation"]
    assert begun.startswith('{"id":"' + asked_reads(1)[0][0])
    with pytest.raises(json.JSONDecodeError):
        json.loads(begun)


def test_a_bad_request_is_refused_for_what_is_wrong_with_it() -> None:
    chat = service()
    assert refused(chat, Injected("internal"), temperature=9).status == 400
    assert [(entry["status"], entry["fault"]) for entry in entries(chat)] == [(400, None)]


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_script_damages_answers_too() -> None:
    chat = service()
    for injected in (Injected("refusal"), None):
        admitted = begin(chat, injected)
        assert isinstance(admitted, Admitted)
        chat.finish(admitted, False)
    assert [(entry["status"], entry["fault"]) for entry in entries(chat)] == [(200, "refusal"), (200, None)]


def test_an_answer_that_was_lost_is_billed_and_holds_no_calls() -> None:
    chat = service()
    admitted = begin(chat, Injected("reset_body"))
    assert isinstance(admitted, Admitted)
    chat.settle(admitted)
    chat.record(admitted, False, 200, "reset_body", lost=True)
    (entry,) = entries(chat)
    assert (entry["status"], entry["fault"], entry["client_saw_it"]) == (200, "reset_body", False)
    assert Decimal(entry["billed_usd"]) > 0
    reads: Any = chat.ledger.reads.page(0, 10)
    assert [(row["fault"], row["calls"], row["client_saw_it"]) for row in reads["entries"]] == [("reset_body", None, False)]
    summary: Any = chat.summary()
    assert (summary["faults"], summary["client_did_not_see"], summary["invariants_broken"]) == ({"reset_body": 1}, 1, [])


def test_rates_can_be_changed_while_it_serves() -> None:
    chat = service()
    assert not chat.injector.active
    chat.set_faults(EmulatorFaults(internal=1.0, refusal=1.0))
    assert chat.injector.next_request() == Injected("internal")
    admitted = begin(chat, None)
    assert isinstance(admitted, Admitted)
    assert admitted.prepared.sent.fault == "refusal"
    chat.set_faults(EmulatorFaults())
    assert not chat.injector.active
