"""How a run stands, and the type of its JSON documents."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

JsonObject = dict[str, Any]


class RunStatus(StrEnum):
    RUNNING = "running"
    COMPLETE = "complete"
    LIMITED = "limited"
    REFUSED = "refused"
    STOPPED = "stopped"
    FAILED = "failed"
