"""Published 429 and 413 texts, reproduced to the last digit."""

from __future__ import annotations

import json

import pytest

from helix_ray.emulator.limits import Bucket, BucketSet, amounts
from helix_ray.emulator.published import Limit, Refused, error_body, go_duration, rate_limited, too_large, wait_ns
from support.emulator_chat_case import admit

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
    assert rate_limited(refused, "m", "on_demand")[1] == retry_after


def test_rate_limit_body_is_the_published_one():
    body, _ = rate_limited(Refused("TPD", 200000, 197117, 4254), "openai/gpt-oss-120b", "on_demand")
    assert json.loads(body) == {
        "error": {
            "message": "Rate limit reached for model `openai/gpt-oss-120b` in organization `org_01helixemulator00000000000` service tier "
            "`on_demand` on tokens per day (TPD): Limit 200000, Used 197117, Requested 4254. Please try again in 9m52.272s. "
            "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
            "type": "tokens",
            "code": "rate_limit_exceeded",
        }
    }
    requests = json.loads(rate_limited(Refused("RPM", 30, 30, 1), "m", "on_demand")[0])["error"]
    assert requests["type"] == "requests"
    assert "on requests per minute (RPM): Limit 30, Used 30, Requested 1. Please try again in 2s." in requests["message"]


def test_too_large_body_is_the_published_one():
    error = json.loads(too_large("TPM", 8000, 8036, "openai/gpt-oss-20b", "on_demand"))["error"]
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
