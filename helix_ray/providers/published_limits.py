"""The rate limits that Groq publishes for its plans, and the speed of its models, from the dated table in limits.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from helix_ray.providers.prices import dated_table

_FILE: Final = "limits.json"
Plan = Literal["free", "developer"]
PLANS: Final[tuple[Plan, ...]] = ("free", "developer")

FLEX_FACTOR: Final = 10
"""The flex tier's limits against those of on_demand; paid plans only (https://console.groq.com/docs/flex-processing)."""

USUAL_TOKENS_PER_S: Final = 450.0
"""The speed that is taken for a model without a published one: the slowest of those that have."""


def limits_version() -> str:
    return str(dated_table(_FILE)["version"])


def published_limits(model: str, plan: Plan) -> dict[str, int]:
    """The model's limits by kind; those that are not published are absent, all of them for an unknown model."""
    row = dated_table(_FILE)["models"].get(model, {}).get(plan, {})
    return {kind: int(amount) for kind, amount in row.items() if amount is not None}


def flex_limits(limits: Mapping[str, int]) -> dict[str, int]:
    """Those of the flex tier, from those of on_demand."""
    return {kind: FLEX_FACTOR * amount for kind, amount in limits.items()}


def completion_tokens_per_s(model: str) -> float:
    return float(dated_table(_FILE)["models"].get(model, {}).get("tokens_per_s", USUAL_TOKENS_PER_S))
