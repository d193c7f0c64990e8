"""The rate limits that Groq publishes for its plans, and the speed of its models, from the dated table in limits.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

Plan = Literal["free", "developer"]
PLANS: Final[tuple[Plan, ...]] = ("free", "developer")

FLEX_FACTOR: Final = 10
"""The flex tier's limits against those of on_demand; paid plans only (https://console.groq.com/docs/flex-processing)."""

USUAL_TOKENS_PER_S: Final = 450.0
"""The speed that is taken for a model without a published one: the slowest of those that have."""


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("helix_ray.providers").joinpath("limits.json").read_text("utf-8"))
    return table


def limits_version() -> str:
    """The date of the table."""
    return str(_table()["version"])


def published_limits(model: str, plan: Plan) -> dict[str, int]:
    """The model's limits by kind; those that are not published are absent, all of them for an unknown model."""
    row = _table()["models"].get(model, {}).get(plan, {})
    return {kind: int(amount) for kind, amount in row.items() if amount is not None}


def flex_limits(limits: Mapping[str, int]) -> dict[str, int]:
    """Those of the flex tier, from those of on_demand."""
    return {kind: FLEX_FACTOR * amount for kind, amount in limits.items()}


def completion_tokens_per_s(model: str) -> float:
    """Published speed of answers."""
    return float(_table()["models"].get(model, {}).get("tokens_per_s", USUAL_TOKENS_PER_S))
