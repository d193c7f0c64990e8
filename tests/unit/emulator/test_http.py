"""POST /_ctl/set: what may change while the emulator runs, what it then does, and how a wrong key is answered."""

import json
from typing import Any

import pytest

from helix_ray.emulator.chat import Chat
from helix_ray.emulator.http import CHANGEABLE, Control, EmulatorApp
from support.emulator_case import MODEL, Time, admitted, ask, chat, error


def put(service: Chat, **keys: Any) -> dict[str, Any]:
    reply = Control(service).set(json.dumps(keys).encode())
    assert reply.status == 200, reply.body
    changed: dict[str, Any] = json.loads(reply.body)["changed"]
    return changed


def refused(service: Chat, body: bytes) -> str:
    before = service.config
    reply = Control(service).set(body)
    assert reply.status == 400
    assert service.config is before
    return str(error(reply)["message"])


def test_a_lower_limit_keeps_what_was_used():
    time = Time()
    service = chat(time, tokens_per_minute=6_000)
    held = admitted(service, max_completion_tokens=2_500)
    assert put(service, tokens_per_minute=1_000) == {"tokens_per_minute": 1_000}
    reply = ask(service, max_completion_tokens=100)
    assert reply.status == 429
    assert "(TPM): Limit 1000, Used 2" in error(reply)["message"]
    assert dict(reply.headers)[b"x-ratelimit-limit-tokens"] == b"1000"
    service.finish(held, False)
    assert ask(service, max_completion_tokens=100).status == 200
    put(service, tokens_per_minute=60_000)
    assert ask(service, max_completion_tokens=10_000).status == 200
    assert service.summary()["invariants_broken"] == []


def test_a_limit_can_appear_and_vanish():
    service = chat(tier="developer")
    assert ask(service).status == 200
    put(service, output_tokens_per_minute=600, tokens_per_day=900)
    assert ask(service).status == 200
    assert ask(service).status == 429
    put(service, output_tokens_per_minute=None, tokens_per_day=None)
    assert ask(service).status == 200
    summary: Any = service.summary()
    assert set(summary["buckets"][MODEL]) == {"RPM", "RPD", "TPM"}


def test_everything_else_changes_too():
    service = chat(tier="developer")
    changed = put(
        service,
        latency_scale=2.0,
        hidden_capacity=3,
        flex_capacity=1,
        overload_capacity=5,
        neighbour={"share": 0.5},
        outages=[{"limit": "TPD", "for_s": 3, "retry_after_s": 9}],
        faults={"refusal": 1.0},
        spend_limit_usd=1,
        charge_rejected=True,
        cache_hit_rate=0.5,
    )
    assert changed["neighbour"] == {"share": 0.5, "request_tokens": 305}
    assert changed["outages"] == [{"limit": "TPD", "status": 503, "after_s": 0.0, "for_s": 3.0, "retry_after_s": 9}]
    assert service.serving.capacity.most == 3
    assert ask(service).status == 429
    put(service, outages=[])
    held = admitted(service)
    assert held.prepared.sent.fault == "refusal"
    assert held.timing.completion_s == pytest.approx(2 * held.text.completion_tokens / 1000)
    summary: Any = service.summary()
    assert summary["capacity"] == {"hidden": 3, "flex": 1, "overload": 5}
    assert summary["buckets"][MODEL]["RPM"]["rejected"] == 1
    assert summary["neighbours"][MODEL]["share"] == 0.5


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"{", ["not valid JSON"]),
        (b"[]", ["expected a JSON object", "hidden_capacity"]),
        (b"{}", ["expected a JSON object"]),
        (b'{"hiden_capacity": 3}', ["hiden_capacity: unknown key; allowed: requests_per_minute"]),
        (b'{"seed": 3}', ["seed: cannot be changed while the emulator runs"]),
        (b'{"hidden_capacity": 0}', ["hidden_capacity: input should be greater than or equal to 1; found 0"]),
        (b'{"hidden_capacity": "8"}', ["hidden_capacity: input should be a valid integer", 'found "8"']),
        (b'{"latency_scale": 2, "tokens_per_minute": -1}', ["tokens_per_minute"]),
        (b'{"neighbour": {"share": 0.5, "speed": 2}}', ["neighbour.speed: unknown key"]),
        (b'{"outages": [{"limit": "TPX"}]}', ["outages.0.limit", "'RPM', 'RPD', 'TPM', 'TPD', 'ITPM' or 'OTPM'", 'found "TPX"']),
        (b'{"outages": null, "tier": "free"}', ["outages", "tier: cannot be changed"]),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(body: bytes, parts: list[str]):
    message = refused(chat(), body)
    for part in parts:
        assert part in message


def test_every_key_but_the_fixed_ones_can_be_set_to_what_it_is():
    service = chat(tier="developer")
    now = service.config.model_dump(mode="json")
    for key in CHANGEABLE:
        assert put(service, **{key: now[key]}) == {key: now[key]}


async def test_the_control_plane_answers_this_machine_only():
    app = EmulatorApp(chat())

    async def asked(host: str | None, method: str, path: str, body: bytes = b"") -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        client = None if host is None else (host, 40_000)
        scope = {"type": "http", "path": path, "method": method, "headers": [], "query_string": b"", "client": client}
        await app(scope, receive, send)
        return int(sent[0]["status"])

    for host, status in (("127.0.0.1", 200), ("::1", 200), (None, 200), ("192.0.2.7", 403)):
        assert await asked(host, "GET", "/_ctl/summary") == status
        assert await asked(host, "POST", "/_ctl/set", b'{"hidden_capacity": 4}') == status
    assert await asked("127.0.0.1", "POST", "/_ctl/sett") == 404
    assert await asked("127.0.0.1", "GET", "/_ctl/set") == 404
