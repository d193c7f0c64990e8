"""The bucket law: never more than the limit and its refill, and a client that waits as long as the 429 says is admitted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.limits import BucketSet, amounts
from helix_ray.emulator.published import MODELS, WINDOW_S, Limit, Refused, limits_of, wait_ns
from support.emulator_chat_case import admit

LIMITS = st.builds(
    lambda rpm, rpd, tpm, tpd: [Limit("RPM", rpm, True), Limit("RPD", rpd, True), Limit("TPM", tpm, True), Limit("TPD", tpd, True)],
    st.integers(1, 50),
    st.integers(1, 500),
    st.integers(100, 5_000),
    st.integers(1_000, 50_000),
)
STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 900), st.floats(0, 1)), max_size=60)


@given(limits=LIMITS, steps=STEPS, refund=st.booleans())
def test_never_more_than_limit_and_refill_is_admitted(limits: list[Limit], steps: list[tuple[float, int, float]], refund: bool):
    buckets = BucketSet(limits)
    now = 100.0
    final_tokens = admitted = 0
    for pause, tokens, used_share in steps:
        now += pause
        if admit(buckets, amounts(tokens, 0), now) is not None:
            continue
        final = int(tokens * used_share) if refund else tokens
        now += 0.5
        buckets.settle(amounts(tokens, 0), amounts(final, 0), now)
        final_tokens += final
        admitted += 1
        elapsed = now - 100.0
        for limit in limits:
            taken = final_tokens if limit.kind[0] == "T" else admitted
            assert taken <= limit.amount + limit.amount / WINDOW_S[limit.kind] * elapsed + 1e-3
    assert buckets.breaches() == []


@given(limits=LIMITS, sizes=st.lists(st.integers(1, 900), min_size=1, max_size=40), start=st.floats(0, 1e6))
def test_whoever_waits_as_told_is_admitted_at_last(limits: list[Limit], sizes: list[int], start: float):
    buckets, now = BucketSet(limits), start
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
    buckets.settle(amounts(1000, 0), amounts(700, 0), 0.0)
    assert admit(buckets, amounts(300, 0), 0.0) is None
    assert buckets.requests_shown.used == 2  # a request is not given back


def test_utilisation_is_settled_over_credit_and_refill():
    buckets = BucketSet([Limit("RPD", 100, True), Limit("TPM", 6000, True)])
    admit(buckets, amounts(6000, 0), 10.0)
    buckets.settle(amounts(6000, 0), amounts(6000, 0), 10.0)
    admit(buckets, amounts(3000, 0), 40.0)
    buckets.settle(amounts(3000, 0), amounts(3000, 0), 40.0)
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
