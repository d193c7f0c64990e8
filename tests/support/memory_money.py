"""What requests cost and took, counted in memory as the real ledger's SQL does."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from helix_ray.records import ApiCall, CallState, PastUse, ServiceTier

DAY_S = 86_400.0
ONE_BY_ONE_S = 120.0


def left(call: ApiCall) -> bool:
    """Whether the request left, or may have."""
    return call.state is not CallState.INTENDED and (call.state is not CallState.FAILED or call.status is not None)


def is_open(call: ApiCall) -> bool:
    """Whether nobody has said how it ended."""
    return call.state is CallState.SENT or (call.state is CallState.INTENDED and call.finished_at is None)


def at_most(call: ApiCall) -> Decimal:
    unknown = is_open(call) or call.state is CallState.POSSIBLY_BILLED
    return max(call.worst_case_usd, call.cost_usd) if unknown else call.cost_usd


def taken(calls: Iterable[ApiCall], now: datetime) -> list[PastUse]:
    """As `Ledger.taken`."""
    groups: dict[tuple[ServiceTier, int, str | None], list[PastUse]] = defaultdict(list)
    for call in calls:
        assert call.created_at is not None
        took_something = is_open(call) or call.state in (CallState.POSSIBLY_BILLED, CallState.ANSWERED)
        if not took_something or (now - call.created_at).total_seconds() >= DAY_S:
            continue
        one = _taken(call, now)
        groups[one.service_tier, int(one.age_s // 60), call.call_id if one.age_s < ONE_BY_ONE_S else None].append(one)
    sums = [
        PastUse(
            max(0.0, min(one.age_s for one in group)),
            len(group),
            sum(one.prompt_tokens for one in group),
            sum(one.completion_tokens for one in group),
            tier,
        )
        for (tier, _, _), group in groups.items()
    ]
    return sorted(sums)


def _taken(call: ApiCall, now: datetime) -> PastUse:
    assert call.created_at is not None
    charged = call.created_at
    if call.finished_at is not None and call.latency_ms is not None:
        charged = call.finished_at - timedelta(milliseconds=call.latency_ms)
    known = call.state is CallState.ANSWERED and call.prompt_tokens > 0
    prompt = call.prompt_tokens - call.cached_tokens if known else max(call.prompt_estimate, call.prompt_tokens)
    completion = call.completion_tokens if known else max(call.max_completion_tokens, call.completion_tokens)
    return PastUse((now - charged).total_seconds(), 1, prompt, completion, call.service_tier or "on_demand")
