"""How a run goes on."""

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from helix_ray.records import RunStatus
from helix_ray.session.reporting import SessionEnd, next_cap_usd, resume_command
from helix_ray.supervision.endings import Ending


def end(throttle: Any) -> SessionEnd:
    return SessionEnd(Ending(RunStatus.LIMITED, "budget"), 1.0, 1.0, None, 0, cast("Any", throttle), None, {})


@pytest.mark.parametrize(("cap", "used_up", "following"), [("0.01", True, 0.02), ("600000", True, 1_000_000), ("0.01", False, None)])
def test_a_cap_that_is_used_up_is_doubled_in_the_command_that_resumes(cap: str, used_up: bool, following: float | None) -> None:
    ended = end(SimpleNamespace(max_cost_usd=Decimal(cap), budget_exhausted=used_up))
    assert next_cap_usd(ended) == following
    command = resume_command(Path("home"), "r1", following)
    assert command.endswith("--resume r1" + ("" if following is None else f" --set throttle.max_cost_usd={following:.12g}"))
