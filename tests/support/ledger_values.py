"""Rows of a run and of its requests, as tests of ledgers store them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from helix_ray.records import ApiCall, CallState
from helix_ray.storage.ledger import RunRow

RUN_ID = "7b1c6a52-9f7e-4a51-8a53-0d5a3a0f1c11"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run_row(run_id: str = RUN_ID, **changes: object) -> RunRow:
    row = RunRow(run_id, "demo", '{"run":{"seed":42}}', "c0ffee", 42, {"generator": "1"}, None, START, "emulator", True)
    return replace(row, **changes)  # type: ignore[arg-type]


def call(number: int, indices: list[int], state: CallState = CallState.ANSWERED, **changes: object) -> ApiCall:
    made = ApiCall(
        str(uuid.UUID(int=number)), "analysis", 1, indices, state, 200, "m", 10, 2, 5, Decimal("0.01"), Decimal("0.001"), 90.0, "req"
    )
    return replace(made, **changes)  # type: ignore[arg-type]
