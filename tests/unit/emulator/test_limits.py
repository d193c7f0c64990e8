"""The emulator's limits: buckets, the texts of 429 and 413, a second client, and outages by script."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.config.emulator import EmulatorConfig, EmulatorNeighbour, EmulatorOutage
from helix_ray.emulator.laws import GROQ, LAWS, Law
from helix_ray.emulator.limits import Bucket, BucketSet, OtherClient, amounts
from helix_ray.emulator.published import (
    MODELS,
    WINDOW_S,
    Limit,
    Refused,
    error_body,
    go_duration,
    limits_of,
    wait_ns,
)
from support.emulator_case import MODEL, Time, admit, ask, chat, error

LIMITS = st.builds(
    lambda rpm, rpd, tpm, tpd: [Limit("RPM", rpm, True), Limit("RPD", rpd, True), Limit("TPM", tpm, True), Limit("TPD", tpd, True)],
    st.integers(1, 50),
    st.integers(1, 500),
    st.integers(100, 5_000),
    st.integers(1_000, 50_000),
)
STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 900), st.floats(0, 1)), max_size=60)


@given(limits=LIMITS, steps=STEPS, refund=st.booleans(), law=st.sampled_from([*LAWS.values()]))
def test_never_more_than_limit_and_refill_is_admitted(limits: list[Limit], steps: list[tuple[float, int, float]], refund: bool, law: Law):
    buckets = BucketSet(limits, law)
    now = 100.0
    final_tokens = admitted = 0
    for pause, tokens, used_share in steps:
        now += pause
        if admit(buckets, amounts(tokens, 0), now) is not None:
            continue
        final = int(tokens * used_share) if refund else tokens
        now += 0.5
        buckets.settle(amounts(tokens, 0), amounts(final, 0), now - 0.5, now)
        final_tokens += final
        admitted += 1
        elapsed = now - 100.0
        for limit in limits:
            taken = final_tokens if limit.kind[0] == "T" else admitted
            window_s = WINDOW_S[limit.kind]
            windows = now // window_s - 100.0 // window_s if law.fixed else elapsed / window_s
            assert taken <= limit.amount + limit.amount * windows + 1e-3
    assert buckets.breaches() == []


@given(
    limits=LIMITS,
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=40),
    start=st.floats(0, 1e6),
    law=st.sampled_from([*LAWS.values()]),
)
def test_whoever_waits_as_told_is_admitted_at_last(limits: list[Limit], sizes: list[int], start: float, law: Law):
    buckets, now = BucketSet(limits, law), start
    for size in sizes:
        if buckets.too_large(amounts(size, 0)) is not None:
            continue
        for _ in range(8):  # each kind may refuse once, and once more after another kind's wait
            refused = admit(buckets, amounts(size, 0), now)
            if refused is None:
                break
            now += wait_ns(refused) / 1e9
        else:
            raise AssertionError("refused again after every wait")


def test_first_refusing_kind_is_named_and_nothing_is_charged():
    buckets = BucketSet([Limit("RPM", 2, True), Limit("RPD", 100, True), Limit("TPM", 1000, True)])
    assert admit(buckets, amounts(400, 0), 0.0) is None
    assert admit(buckets, amounts(700, 0), 0.0) == Refused("TPM", 1000, 400, 700)
    assert admit(buckets, amounts(100, 0), 0.0) is None
    assert admit(buckets, amounts(900, 0), 0.0) == Refused("RPM", 2, 2, 1)
    assert buckets.tokens_shown.used == 500


def test_refund_gives_back_what_was_not_used():
    buckets = BucketSet([Limit("RPD", 100, True), Limit("TPM", 1000, True)])
    assert admit(buckets, amounts(1000, 0), 0.0) is None
    assert admit(buckets, amounts(300, 0), 0.0) is not None
    buckets.settle(amounts(1000, 0), amounts(700, 0), 0.0, 0.0)
    assert admit(buckets, amounts(300, 0), 0.0) is None
    assert buckets.requests_shown.used == 2  # a request is not given back


def test_utilisation_is_settled_over_credit_and_refill():
    buckets = BucketSet([Limit("RPD", 100, True), Limit("TPM", 6000, True)])
    admit(buckets, amounts(6000, 0), 10.0)
    buckets.settle(amounts(6000, 0), amounts(6000, 0), 10.0, 10.0)
    admit(buckets, amounts(3000, 0), 40.0)
    buckets.settle(amounts(3000, 0), amounts(3000, 0), 40.0, 40.0)
    summary = buckets.tokens_shown.summary(100.0)
    assert summary["utilisation"] == 1.0  # 9000 of 6000 + 6000/60 * 30
    assert summary["seconds"] == 30.0
    assert summary["seconds_since_first_request"] == 90.0
    assert (summary["settled"], summary["initial_credit"]) == (9000, 6000)


def test_tiers_have_the_published_limits_and_configured_ones_win():
    model = MODELS["openai/gpt-oss-20b"]
    free = limits_of(EmulatorConfig(tier="free"), model, "on_demand")
    assert [(limit.kind, limit.amount) for limit in free] == [("RPM", 30), ("RPD", 1000), ("TPM", 8000), ("TPD", 200_000)]
    developer = limits_of(EmulatorConfig(tier="developer", tokens_per_minute=60_000), model, "on_demand")
    assert [(limit.kind, limit.amount) for limit in developer] == [("RPM", 1000), ("RPD", 500_000), ("TPM", 60_000)]
    flex = limits_of(EmulatorConfig(tier="developer"), model, "flex")
    assert [limit.amount for limit in flex] == [10_000, 5_000_000, 2_500_000]
    unlimited = limits_of(EmulatorConfig(tier="unlimited", requests_per_minute=7), model, "on_demand")
    assert [(limit.kind, limit.enforced) for limit in unlimited] == [("RPD", False), ("TPM", False)]


def test_unlimited_refuses_nothing_and_still_shows_large_figures():
    buckets = BucketSet(limits_of(EmulatorConfig(tier="unlimited"), MODELS["openai/gpt-oss-20b"], "on_demand"))
    assert all(admit(buckets, amounts(500_000_000, 0), 0.0) is None for _ in range(10))
    assert buckets.too_large(amounts(2_000_000_000, 0)) is None
    assert buckets.breaches() == []
    assert buckets.tokens_shown.limit >= 1_000_000_000


PUBLISHED = [
    ("TPM", 8000, 7739, 1108, "6.3525s", 7),
    ("TPM", 6000, 5034, 1443, "4.77s", 5),
    ("TPM", 7000, 0, 12903, "50.597142857s", 51),
    ("TPM", 8000, 7985, 3603, "26.91s", 27),
    ("TPM", 8000, 5210, 6480, "27.675s", 28),
    ("TPM", 8000, 8000, 77, "577.5ms", 1),
    ("TPM", 8000, 8000, 355, "2.662499999s", 3),
    ("TPD", 100000, 97050, 3619, "9m38.016s", 579),
    ("TPD", 100000, 99769, 1376, "16m29.28s", 990),
    ("TPD", 200000, 197117, 4254, "9m52.272s", 593),
    ("TPD", 200000, 196969, 3464, "3m7.055999999s", 188),
    ("TPD", 200000, 199682, 672, "2m32.928s", 153),
    ("RPD", 1000, 1000, 1, "1m26.4s", 87),
    ("RPM", 30, 30, 1, "2s", 2),
]


@pytest.mark.parametrize(("kind", "limit", "used", "requested", "wait", "retry_after"), PUBLISHED)
def test_published_waits_are_reproduced_to_the_last_digit(kind: str, limit: int, used: int, requested: int, wait: str, retry_after: int):
    refused = Refused(kind, limit, used, requested)
    assert go_duration(wait_ns(refused)) == wait
    assert GROQ.retry_after(wait_ns(refused)) == [(b"retry-after", b"%d" % retry_after)]


def test_rate_limit_body_is_the_published_one():
    body = GROQ.rate_limited(Refused("TPD", 200000, 197117, 4254), "openai/gpt-oss-120b", "on_demand")
    assert json.loads(body) == {
        "error": {
            "message": "Rate limit reached for model `openai/gpt-oss-120b` in organization `org_01helixemulator00000000000` service tier "
            "`on_demand` on tokens per day (TPD): Limit 200000, Used 197117, Requested 4254. Please try again in 9m52.272s. "
            "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
            "type": "tokens",
            "code": "rate_limit_exceeded",
        }
    }
    requests = json.loads(GROQ.rate_limited(Refused("RPM", 30, 30, 1), "m", "on_demand"))["error"]
    assert requests["type"] == "requests"
    assert "on requests per minute (RPM): Limit 30, Used 30, Requested 1. Please try again in 2s." in requests["message"]


def test_too_large_body_is_the_published_one():
    error = json.loads(GROQ.beyond(Refused("TPM", 8000, 0, 8036), "openai/gpt-oss-20b", "on_demand"))["error"]
    assert error["type"] == "tokens"
    assert error["code"] == "rate_limit_exceeded"
    assert error["message"] == (
        "Request too large for model `openai/gpt-oss-20b` in organization `org_01helixemulator00000000000` service tier `on_demand` on "
        "tokens per minute (TPM): Limit 8000, Requested 8036, please reduce your message size and try again. "
        "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
    )


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (577_500_000, "577.5ms"),
        (999_999_999, "999.999999ms"),
        (1_000_000_000, "1s"),
        (179_560_000_000, "2m59.56s"),
        (864_000_000_000, "14m24s"),
        (3_600_000_000_000, "1h0m0s"),
        (6_836_832_000_000, "1h53m56.832s"),
        (86_400_000_000_000, "24h0m0s"),
        (60_000_000_001, "1m0.000000001s"),
    ],
)
def test_durations_are_written_as_go_writes_them(ns: int, text: str):
    assert go_duration(ns) == text


def test_six_headers_show_requests_per_day_and_tokens_per_minute():
    buckets = BucketSet([Limit("RPM", 30, True), Limit("RPD", 14_400, True), Limit("TPM", 8_000, True), Limit("TPD", 200_000, True)])
    for _ in range(30):
        assert admit(buckets, amounts(60, 40), 5.0) is None
    assert dict(buckets.headers()) == {
        b"x-ratelimit-limit-requests": b"14400",
        b"x-ratelimit-remaining-requests": b"14370",
        b"x-ratelimit-reset-requests": b"3m0s",
        b"x-ratelimit-limit-tokens": b"8000",
        b"x-ratelimit-remaining-tokens": b"5000",
        b"x-ratelimit-reset-tokens": b"22.5s",
    }


def test_used_is_shown_rounded_up_so_that_the_wait_suffices():
    bucket = Bucket(Limit("TPM", 8000, True))
    bucket.refill(0.0)
    bucket.charge(8000)
    bucket.refill(0.001)  # 7999.8667 used
    refused = bucket.refusal(100)
    assert refused == Refused("TPM", 8000, 8000, 100)


def test_absent_fields_are_left_out_of_error_bodies():
    assert json.loads(error_body("no")) == {"error": {"message": "no", "type": "invalid_request_error"}}


def test_half_of_the_minute_is_gone_and_the_other_half_is_ours():
    time = Time()
    buckets = BucketSet(limits_of(EmulatorConfig(tokens_per_minute=36_000), MODELS[MODEL], "on_demand"))
    client = OtherClient(EmulatorNeighbour(share=0.5, request_tokens=300))
    settled = 0
    for _ in range(6000):
        time.now += 0.1
        client.catch_up(buckets, time.now)
        if admit(buckets, amounts(200, 100), time.now) is None:
            buckets.settle(amounts(200, 100), amounts(200, 100), time.now, time.now)
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


def test_fixed_windows_begin_anew_on_the_minute_and_refund_nothing_of_the_last_one():
    buckets = BucketSet([Limit("RPD", 100, True), Limit("TPM", 1000, True)], LAWS["fixed_windows"])
    assert admit(buckets, amounts(900, 0), 100.0) is None
    refused = admit(buckets, amounts(200, 0), 119.0)
    assert refused == Refused("TPM", 1000, 900, 200, 1.0)
    assert dict(buckets.headers())[b"x-ratelimit-reset-tokens"] == b"1s"
    assert admit(buckets, amounts(200, 0), 120.0) is None
    buckets.settle(amounts(900, 0), amounts(100, 0), 100.0, 121.0)
    assert buckets.tokens_shown.used == 200
    buckets.settle(amounts(200, 0), amounts(150, 0), 120.0, 121.0)
    assert buckets.tokens_shown.used == 150
    assert buckets.breaches() == []


def test_openai_shows_the_minute_and_words_it_its_own_way():
    service = chat(law="openai", tier="developer", requests_per_minute=2, tokens_per_minute=2_000)
    headers = dict(ask(service).headers)
    assert (headers[b"x-ratelimit-limit-requests"], headers[b"x-ratelimit-limit-tokens"]) == (b"2", b"2000")
    assert headers[b"x-ratelimit-reset-requests"] == b"30s"
    ask(service)
    reply = ask(service)
    headers = dict(reply.headers)
    assert reply.status == 429
    assert "on requests per min (RPM): Limit 2, Used 2, Requested 1. Please try again in 30s." in error(reply)["message"]
    assert int(headers[b"retry-after-ms"]) <= 1000 * int(headers[b"retry-after"]) < int(headers[b"retry-after-ms"]) + 1000
    small = ask(chat(law="openai", tokens_per_minute=100))
    assert (small.status, error(small)["message"].startswith("Request too large for")) == (429, True)


def test_a_silent_server_names_nothing():
    service = chat(law="silent", tier="developer", requests_per_minute=1)
    assert not [name for name, _ in ask(service).headers if name.startswith(b"x-ratelimit")]
    reply = ask(service)
    assert (reply.status, error(reply)) == (429, {"message": "Too Many Requests", "type": "invalid_request_error"})
    assert {name for name, _ in reply.headers} == {b"x-request-id"}
