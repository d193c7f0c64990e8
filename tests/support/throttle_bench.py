"""A governor with time in the test's hand, shared by the tests of its decisions."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from helix_ray.config import ThrottleConfig
from helix_ray.providers.readings import LimitReading, RateLimitDetail
from helix_ray.records import PastUse, TokenUsage
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import AcquireReply, Permit, PermitRequest, Settlement

CENT = Decimal("0.01")


def want(want_id: str, prompt: int = 100, completion: int = 100, usd: Decimal = CENT) -> PermitRequest:
    return PermitRequest(want_id, prompt, completion, usd)


class ThrottleBench:
    """A governor, the time, and one caller who keeps waiting for everything it ever asked for. The API has answered before,
    unless its first limit is still to be found (``tokens_per_minute`` None): no probe is needed.
    """

    def __init__(self, retry_share: float = 1.0, past: Sequence[PastUse] | None = (), **config: object) -> None:
        settings = {"tokens_per_minute": 6000, "max_cost_usd": 1000.0, **config}
        self.governor = Governor(ThrottleConfig.model_validate(settings), 60.0, "e", retry_share=retry_share)
        self.governor.restore(Decimal(0), past, 100.0)
        for limiter in self.governor.limiters.values():
            limiter.has_answered = settings["tokens_per_minute"] is not None
        self.now = self.granted_at = 100.0  # the last time that `granted` saw a grant

    def ask(self, *wants: PermitRequest, holder: str = "a") -> AcquireReply:
        self.governor.ask(holder, wants, self.now)
        self.governor.advance(self.now)
        return self.governor.collect([each.want_id for each in wants], self.now)

    def grant(self, name: str, *, holder: str = "a", prompt: int = 100, completion: int = 100, usd: Decimal = CENT) -> Permit:
        [grant] = self.ask(want(name, prompt, completion, usd), holder=holder).grants
        return grant

    def granted(self, seconds: float, want_ids: Iterable[str]) -> list[str]:
        """What is granted by then, in order, with the clock stopping whenever the governor asks for it."""
        ids, end, order = list(want_ids), self.now + seconds, []
        while True:
            granted = [want_id for want_id in self.governor.advance(self.now) if want_id in ids]
            order += granted
            if granted:
                self.granted_at = self.now
            ready = self.governor.next_ready_in_s(self.now)
            if ready is None or self.now + ready > end:
                self.now = end
                self.governor.advance(end)
                return order
            self.now += max(ready, 1e-9)

    def settle(self, grant: Permit, outcome: str, **details: object) -> None:
        self.governor.settle(Settlement(grant.permit_id, outcome, **details), self.now)  # type: ignore[arg-type]

    def answer(self, grant: Permit, prompt: int = 100, completion: int = 100, reading: LimitReading | None = None) -> None:
        self.settle(grant, "answered", usage=TokenUsage(prompt, 0, completion), cost_usd=Decimal("0.001"), reading=reading)

    def refuse(self, grant: Permit, **detail: object) -> None:
        self.settle(grant, "rejected", limited=RateLimitDetail(**detail))  # type: ignore[arg-type]


def ids(reply: AcquireReply) -> list[str]:
    return [grant.want_id for grant in reply.grants]
