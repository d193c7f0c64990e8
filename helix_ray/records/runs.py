"""How a run stands, the commands to a live one, and their log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

JsonObject = dict[str, Any]


class RunStatus(StrEnum):
    RUNNING = "running"
    COMPLETE = "complete"
    LIMITED = "limited"
    REFUSED = "refused"
    STOPPED = "stopped"
    FAILED = "failed"


class AnalyzerEnd(StrEnum):
    """Why an analyzer's loop ended. The last three are the throttle's refusals."""

    CLOSED = "closed"  # the queue has nothing any more
    ENDING = "ending"  # control asked for the end
    DRAINED = "drained"
    BUDGET = "budget"
    DAILY = "daily"
    REFUSED = "refused"


class Action(StrEnum):
    """A command to a live run. Every target is absolute, so that repeating a command changes nothing."""

    PAUSE = "pause"
    RESUME = "resume"
    RATE = "rate"  # value: reads/s, None lifts the limit
    SPIKE = "spike"  # value: reads/s (None: as fast as the source can), seconds: how long
    BUDGET = "budget"  # value: US dollars for the whole run (None: as configured)
    CONCURRENCY = "concurrency"  # value: requests in flight of each analyzer (None: as configured)
    DRAIN = "drain"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Command:
    request_id: str  # uuid; the same id is answered, not repeated
    action: Action
    value: float | None = None
    seconds: float | None = None
    actor: str = "unknown"  # the sender: "cli:alice", "page"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    request_id: str
    accepted: bool
    version: int  # of the desired state that now holds this command
    message: str  # what was done, or why not, in words
    value_from: str | None = None
    value_to: str | None = None


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The state that control asks of every actor: absolute, versioned, applied by each actor at its next one-second tick."""

    version: int = 0
    paused: bool = False
    rate_per_s: float | None = None
    spike_rate_per_s: float | None = None
    spike_until: float | None = None  # Unix seconds; None: no spike
    ending: Literal["drain", "stop"] | None = None
    max_cost_usd: float | None = None  # of the whole run, with all its resumes; None: as configured
    requests_in_flight: int | None = None  # of each analyzer; None: as configured


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """A command as it arrived, before it acts."""

    request_id: str
    action: str
    actor: str
    asked_at: datetime
    reason: str | None = None
    value_from: str | None = None
    value_to: str | None = None


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """The effect of a command so far. None leaves the stored value."""

    accepted: bool | None = None
    message: str | None = None
    value_from: str | None = None
    value_to: str | None = None
    acknowledged_at: datetime | None = None
    in_effect_at: datetime | None = None
