"""What the driver must send to the parts of a run after each start and each death, in which order, and when.

Ray's state is disposable: a part that died comes back empty, under its old name and as a new incarnation.

                    a new incarnation answers              the driver has informed it
    (absent) ────────────────────────────────► UNINFORMED ───────────────────────────► INFORMED
                                                    ▲                                      │
                                                    └──────── a new incarnation ───────────┘

A sink that died may have committed reads whose acknowledgement did not reach the queue, so its death leaves the queue
uninformed too. A throttle that comes back gets the most that can be spent. Once no permit of its predecessor can be
alive, the ledger knows the sum exactly, and the throttle is corrected until that sum no longer changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

LOOK_AGAIN_S = 30.0
"""Between two corrections: the last requests of a dead throttle may reach the ledger late, when the database was away."""


class Part(Enum):
    SINK = "sink"
    THROTTLE = "throttle"
    QUEUE = "queue"


class Need(Enum):
    """What the driver must do, in the order of `Recovery.due`."""

    RESTORE_THROTTLE = "restore throttle"  # money and past use of the limits; nothing is granted before
    CORRECT_THROTTLE = "correct throttle"  # the money, exactly
    OPEN_QUEUE = "open queue"  # which reads are done; producers then offer the others again
    INFORM_QUEUE = "inform queue"  # which reads a dead sink had committed


_FIRST_NEED = {Part.THROTTLE: Need.RESTORE_THROTTLE, Part.QUEUE: Need.OPEN_QUEUE}


@dataclass(slots=True)
class Recovery:
    """Decides what is due; the driver does it and reports with `informed` or `corrected`. ``now`` is monotonic seconds.

    ``permit_lifetime_s`` bounds how long a permit of a dead throttle can be alive, until its request is on record.
    """

    permit_lifetime_s: float
    _seen: dict[Part, str] = field(default_factory=dict)  # the newest incarnation of each part
    _informed: dict[Part, str] = field(default_factory=dict)  # the incarnation that was informed
    _queue_outdated: bool = False
    _correct_at: float | None = None
    _last_spent_usd: Decimal | None = None

    def on(self, part: Part, incarnation: str) -> None:
        """The part answered as this incarnation. Idempotent."""
        if part is Part.SINK and self._seen.get(part, incarnation) != incarnation:
            self._queue_outdated = True
        self._seen[part] = incarnation

    def due(self, now: float) -> list[Need]:
        """What the parts that have been seen need, in order. Empty: every part knows what it must."""
        needs = [need for part, need in _FIRST_NEED.items() if part in self._seen and not self.knows(part)]
        if self.knows(Part.THROTTLE) and self._correct_at is not None and now >= self._correct_at:
            needs.append(Need.CORRECT_THROTTLE)
        if self._queue_outdated and Need.OPEN_QUEUE not in needs:
            needs.append(Need.INFORM_QUEUE)
        return needs

    def knows(self, part: Part) -> bool:
        """The newest incarnation of the part was informed."""
        return part in self._seen and self._informed.get(part) == self._seen[part]

    def incarnation(self, part: Part) -> str | None:
        """The one that was informed last."""
        return self._informed.get(part)

    def informed(self, part: Part, incarnation: str, now: float, *, provisional: bool = False) -> None:
        """Note that the incarnation was informed. ``provisional``: a throttle got the most that can be spent, not the exact sum."""
        self._seen[part] = self._informed[part] = incarnation
        if part is Part.QUEUE:
            self._queue_outdated = False
        if part is Part.THROTTLE:
            self._correct_at = now + self.permit_lifetime_s if provisional else None
            self._last_spent_usd = None

    def corrected(self, spent_usd: Decimal, incarnation: str | None, now: float) -> None:
        """The throttle that answers as ``incarnation`` got this sum; None: it did not answer."""
        stable = incarnation is not None and (incarnation != self._informed.get(Part.THROTTLE) or spent_usd == self._last_spent_usd)
        self._correct_at = None if stable else now + LOOK_AGAIN_S
        self._last_spent_usd = spent_usd
        if incarnation is not None:
            self._seen[Part.THROTTLE] = incarnation
