"""Go durations, limit headers and the sentences of 429 and 413 bodies, whoever sends them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.providers.groq.errors import read_error
from helix_ray.providers.rate_limits import parse_go_duration, read_limits, read_rate_limit, window_of
from helix_ray.providers.readings import LimitReading, RateLimitDetail


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m59.56s", 179.56),
        ("577.5ms", 0.5775),
        ("14m24s", 864.0),
        ("9m38.016s", 578.016),
        ("1h53m56.832s", 6836.832),
        ("2.662499999s", 2.662499999),
        ("1m26.4s", 86.4),
        ("1h", 3600.0),
        ("5m", 300.0),
        ("5ms", 0.005),
        ("1.5µs", 1.5e-6),
        ("1.5μs", 1.5e-6),
        ("1.5us", 1.5e-6),
        ("3ns", 3e-9),
        ("0.1ns", 1e-9),
        ("50.597142857142s", 50.597142858),
        ("0s", 0.0),
        ("0", 0.0),
        (" 2s ", 2.0),
        (".5s", 0.5),
        ("1.s", 1.0),
    ],
)
def test_go_durations(text: str, seconds: float) -> None:
    assert parse_go_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "s", "1", "1.5", "2 s", "-2s", "1d", "1m30", "soon", "NaN", "inf", "1e3s", "1..5s", ".s", "2562048h", "1" * 200 + "s", "٣s"],
)
def test_garbage_is_none(text: str) -> None:
    assert parse_go_duration(text) is None


@given(st.text(max_size=40))
def test_any_text_gives_seconds_or_none(text: str) -> None:
    parsed = parse_go_duration(text)
    assert parsed is None or parsed >= 0


@given(st.integers(0, 2**53))
def test_what_go_prints_is_read_back(nanoseconds: int) -> None:
    seconds, rest = divmod(nanoseconds, 10**9)
    text = f"{seconds // 3600}h{seconds // 60 % 60}m{seconds % 60}.{rest:09d}s"
    assert parse_go_duration(text) == pytest.approx(nanoseconds / 1e9, rel=1e-12, abs=1e-9)


def test_the_six_headers() -> None:
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "3m0s",
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-tokens": "17997",
        "x-ratelimit-reset-tokens": "10ms",
    }
    assert read_limits(headers) == LimitReading(14400, 14370, 180, 18000, 17997, 0.01, 86_400, 60)


def test_missing_or_senseless_headers_are_none() -> None:
    assert read_limits({}) == LimitReading()
    headers = {"x-ratelimit-limit-tokens": "0", "x-ratelimit-remaining-tokens": "many", "x-ratelimit-limit-requests": "inf"}
    assert read_limits(headers) == LimitReading()


def rate_limit(headers: dict[str, str], raw: bytes) -> RateLimitDetail:
    return read_rate_limit(headers, read_error(raw).message)


def body(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}).encode()


PREFIX = "Rate limit reached for model `openai/gpt-oss-20b` in organization `org_01` service tier `on_demand` on "


@pytest.mark.parametrize(
    ("sentence", "detail"),
    [
        (
            "tokens per minute (TPM): Limit 8000, Used 7739, Requested 1108. Please try again in 6.3525s. Need more tokens?",
            RateLimitDetail("TPM", 8000, 7739, 1108, 7),
        ),
        (
            "tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s.",
            RateLimitDetail("TPD", 100000, 97050, 3619, 578.016),
        ),
        (
            "requests per day (RPD): Limit 1000, Used 1000, Requested 1. Please try again in 1m26.4s.",
            RateLimitDetail("RPD", 1000, 1000, 1, 86.4),
        ),
        ("requests per minute (RPM): Limit 30, Used 30, Requested 1. Please try again in 2s.", RateLimitDetail("RPM", 30, 30, 1, 7)),
        ("tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903.", RateLimitDetail("TPM", 7000, 0, 12903, 7)),
        ("input tokens per minute (ITPM): Limit 9, Used 8, Requested 3. Please try again in 577.5ms.", RateLimitDetail("ITPM", 9, 8, 3, 7)),
        ("requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.", RateLimitDetail("RPM", 3, 3, 1, 20)),
        ("tokens per min (TPM): Limit 30000, Requested 40960. The input or output", RateLimitDetail("TPM", 30000, None, 40960, 7)),
        ("tokens per min. Limit: 40000 / min. Current: 40400 / min. Contact us", RateLimitDetail("TPM", 40000, 40400, None, 7)),
        ("token rate limit of your S0 pricing tier. Please retry after 26 seconds.", RateLimitDetail(retry_after_s=26)),
        ("call rate limit. Please retry after 500 milliseconds.", RateLimitDetail(retry_after_s=7)),
        ("something new per fortnight: Limit 3. Please try again in 8m.", RateLimitDetail(retry_after_s=480)),
    ],
)
def test_what_a_429_says(sentence: str, detail: RateLimitDetail) -> None:
    """The header says 7 s everywhere: the longer of header and sentence counts."""
    assert rate_limit({"retry-after": "7"}, body(PREFIX + sentence)) == detail


def test_a_429_of_litellms_proxy() -> None:
    raw = b'{"error": {"message": "litellm.RateLimitError: Model rate limit exceeded. RPM limit=60, current usage=84", "code": "429"}}'
    assert rate_limit({"llm_provider-retry-after": "60"}, raw) == RateLimitDetail("RPM", 60, 60, None, 60)


def test_a_413_names_no_use_and_no_wait() -> None:
    sentence = "Request too large for model `m` on tokens per minute (TPM): Limit 8000, Requested 10092, please reduce your message size"
    detail = rate_limit({}, body(sentence))
    assert detail == RateLimitDetail("TPM", 8000, None, 10092, None)
    assert detail.never_fits


@pytest.mark.parametrize(
    "raw",
    [
        b'{"object": "error", "message": "on tokens per min (TPM): Limit 9, Used 8, Requested 3", "code": 429}',
        b'{"error": "on tokens per min (TPM): Limit 9, Used 8, Requested 3"}',
    ],
)
def test_bodies_of_other_servers(raw: bytes) -> None:
    assert rate_limit({}, raw) == RateLimitDetail("TPM", 9, 8, 3)


@pytest.mark.parametrize("raw", [b"", b"<html>429</html>", b'{"error": "no"}', b'{"error"', b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_bodies_that_say_nothing(raw: bytes) -> None:
    assert rate_limit({}, raw) == RateLimitDetail()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("28", 28.0), ("0.35", 0.35), ("-1", None), ("nan", None), ("Wed, 21 Oct 2026 07:28:00 GMT", 90.0), ("Wed, 1 Oct", None)],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    headers = {"retry-after": value, "date": "Wed, 21 Oct 2026 07:26:30 GMT"}
    assert rate_limit(headers, b"").retry_after_s == seconds
    assert rate_limit({**headers, "retry-after-ms": "350"}, b"").retry_after_s == 0.35


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_s", "window_s"),
    [
        (1000, 999, 86.4, 86_400),  # Groq
        (500_000, 499_995, 0.864, 86_400),
        (8000, 6500, 11.25, 60),
        (500, 499, 0.12, 60),  # OpenAI
        (500, 499, 1.0, 60),  # the same, rounded
        (500, 470, 37.0, 60),  # a window of the clock that ends in 37 s
        (500, 470, 3000.0, 3600),
        (500, 0, 60.0, 60),
        (500, 500, 0.0, None),
        (500, 499, None, None),
        (None, 499, 5.0, None),
    ],
)
def test_the_window_follows_from_limit_remaining_and_reset(
    limit: float | None, remaining: float | None, reset_s: float | None, window_s: float | None
) -> None:
    assert window_of(limit, remaining, reset_s) == window_s
