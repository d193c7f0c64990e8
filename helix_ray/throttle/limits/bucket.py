"""One limit of the provider: a continuously refilling bucket, kept from the outside.

The server's law (Groq's published messages follow it): ``used`` sinks by ``limit / window`` per second, a request is
admitted iff ``used + requested <= limit``, and then charged. Rejected requests are charged nothing. We see that account
only through headers that are a round trip old, so ours is built to be an **upper bound** of it at all times:

    ours = kept(t) + reserved

``reserved`` belongs to requests in flight and does not sink; ``kept`` does, and takes a request's charge when it is settled.
Why that is a bound: let *V* be the server's account plus everything granted that has not arrived there. Granting raises *V*
and ours alike; a settlement lowers the server's account first and ours later; *V* sinks whenever the server's account is
above zero, ours only while ``kept`` is. And when the server's account is empty, *V* is nothing but requests under way, all
of them in ``reserved``. (An account that lets a charge sink from the grant on is no bound: while a request travels, an
empty server account has nothing to sink, and the difference comes back as a 429 as soon as the bucket is full.)

Comparing with a header. The header of request *i* shows the server after it admitted *i* and before it settled *i*. At that
moment it can hold what ours held right after granting *i*, plus what was granted until the answer came, and not more;
refunds since then lower both sides. So each grant leaves a `Mark`, and

    excess = (capacity - ours at the grant - granted since - already added since) - remaining

is somebody else's use, or a start with a bucket that was not full: it is added to ours. A header never lowers ours, with one
exception: when *i* was alone, nothing else in flight from its grant to its answer, the server's account is exactly what it
says.

Two accounts run side by side, one with unused reservations returned and one without; `RefundDetector` picks. Both are bounds
under their own law, so picking the other one later needs no correction.

A configured limit below the provider's is the user's, not the provider's: beside the provider's law it has an account of its
own, which counts real usage and sinks at the configured rate.

Other clients on the same key go on between two readings: `Neighbours` says how much they may have taken since the last one,
and that much is left to them. It is 0 as long as no reading showed anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, inf
from typing import Literal, NamedTuple

from helix_ray.throttle.limits.leaky_level import EPSILON, Drain
from helix_ray.throttle.limits.refund import RefundDetector, RefundMark
from helix_ray.throttle.stats import BucketStats

SHORTEST_S = 1e-4
_CLIENTS_MEMORY_S = 10.0
_LONGEST_AGE_S = 5.0
_AHEAD_S = 1.0  # until the request that is about to go is there, and since nobody takes in drops


class Mark(NamedTuple):
    """One request's reservation, and our account right after it was made."""

    number: int  # grants are numbered, so that old headers are recognised
    amount: float
    granted: float  # total ever granted, this one included
    whole: tuple[float, float]  # (account, added from headers so far) where reservations are kept whole
    returned: tuple[float, float]  # the same where unused parts are returned
    refund: RefundMark


class Waits(NamedTuple):
    """Seconds until a request fits; 0: now; None: not before a request in flight is settled."""

    provider_s: float | None  # by the provider's account
    own_s: float | None  # by the configured one


class Neighbours:
    """Their rate, from the excess that readings show above our own account, forgotten with a time constant of 10 s.

    A reading tells what the server knew when it admitted a request, and is a round trip old; the `margin` is what they may
    have taken since then. What a first reading shows is the past, not a rate.
    """

    def __init__(self) -> None:
        self.rate = 0.0  # a second
        self._seen_until: float | None = None  # up to when their use is in our account
        self._late = 0.0  # found by readings older than that

    @property
    def most(self) -> float:
        """What the margin can grow to."""
        return self.rate * _LONGEST_AGE_S

    def took(self, amount: float, granted_at: float, refill: float) -> None:
        """The reading of a request granted then showed ``amount`` more than our account could explain. ``refill``: of the
        limit, a second; nobody takes more than that for long, so a larger excess is a past that we knew nothing of.
        """
        if self._seen_until is None:
            self._seen_until = granted_at
            return
        took = self._late + amount
        since_s = granted_at - self._seen_until
        if since_s <= 0:
            self._late = took
            return
        keep = exp(-since_s / _CLIENTS_MEMORY_S)
        self.rate = min(refill, self.rate * keep + took / since_s * (1 - keep))
        self._late = 0.0
        self._seen_until = granted_at

    def margin(self, now: float) -> float:
        if self._seen_until is None or self.rate <= 0.0:
            return 0.0
        return self.rate * min(_LONGEST_AGE_S, _AHEAD_S + max(0.0, now - self._seen_until))

    def forget(self) -> None:
        self.rate = 0.0
        self._seen_until = None
        self._late = 0.0


class Bucket:
    """``law``: the detector of another bucket, for limits that no header shows; by default the bucket's own.

    A bucket whose limit is not known yet lets everything pass and keeps no account but that of what is in flight.
    """

    def __init__(
        self, name: str, window_s: float, configured: float | None, safety_factor: float, law: RefundDetector | None = None
    ) -> None:
        self.name = name
        self.window_s = window_s
        self.limit = configured
        self.reserved = 0.0
        self.refunds = RefundDetector()
        self.neighbours = Neighbours()
        self._law = law or self.refunds
        self._configured = configured
        self._discovered: float | None = None
        self._discovered_by = -1
        self._safety = safety_factor
        self._whole, self._returned, self._own = Drain(), Drain(), Drain()
        self._before_lowered = Drain()  # the most that the server's account can hold since its limit sank
        self._whole_added = self._returned_added = 0.0
        self._granted = 0.0
        self._settled_whole = self._settled_returned = 0.0
        self._past_unknown = False
        self._exhausted_at = -inf
        self._started_at: float | None = None
        self._initial_credit = self._accrued = 0.0
        self._set_rates(-inf)

    def restore(self, past: Iterable[tuple[float, float]] | None, now: float) -> None:
        """What was taken before the first grant, as (seconds ago, amount), oldest first; None: not known, so everything."""
        self._past_unknown = past is None
        if self._configured is None:
            return
        for account in (self._whole, self._returned, self._own):
            if past is None:
                account.set_level(self._own_capacity(), now)
        for age_s, amount in past or ():
            for account in (self._whole, self._returned, self._own):
                account.add(amount, now - age_s)

    def used(self, now: float) -> float:
        """Our upper bound of the server's account: 0 and up, rarely above the limit."""
        return self._active.level(now) + self.reserved

    def credit(self, now: float) -> float:
        """What could be granted at once: 0 to the limit, infinite while that is unknown."""
        provider = self._capacity() - self.used(now) - self.neighbours.margin(now)
        if self._configured_binds:
            provider = min(provider, self._own_capacity() - self._own.level(now) - self.reserved)
        return max(0.0, provider)

    def waits(self, amount: float, now: float) -> Waits:
        """What is larger than the whole bucket waits for an empty one; the provider's own 413 is the answer to it."""
        if self.limit is None:
            return Waits(0.0, 0.0)
        account_s = self._account_wait_s(amount, now)
        if self._discovered is None:
            return Waits(0.0, account_s)
        if not self._configured_binds:
            return Waits(account_s, 0.0)
        capacity = self._own_capacity()
        return Waits(account_s, self._own.time_until(capacity - self.reserved - min(amount, capacity), now))

    def reserve(self, amount: float, number: int, now: float) -> Mark:
        self._start(now)
        refund = self.refunds.granted(amount, self.reserved, now)
        self.reserved += amount
        self._granted += amount
        return Mark(
            number,
            amount,
            self._granted,
            (self._whole.level(now) + self.reserved, self._whole_added),
            (self._returned.level(now) + self.reserved, self._returned_added),
            refund,
        )

    def settle(self, mark: Mark, whole: float, returned: float, now: float, lag_s: float = 0.0) -> None:
        """The request ended: the server charged ``whole`` on admission and, if it refunds, keeps ``returned``. ``lag_s``:
        from grant to socket.
        """
        self.reserved = max(0.0, self.reserved - mark.amount)
        self.refunds.settled(mark.amount, whole, lag_s, now)
        if self.limit is None:
            return
        self._charge(self._whole, whole, now)
        self._charge(self._returned, returned, now)
        self._own.add(returned, now)
        self._settled_whole += whole
        self._settled_returned += returned

    def give_back(self, mark: Mark, now: float) -> None:
        """The request was not sent, or rejected: the server charged nothing."""
        self.reserved = max(0.0, self.reserved - mark.amount)
        self.refunds.void(mark.amount, now)

    def adopt(self, limit: float, number: int, now: float) -> bool:
        """The provider names its limit. False: the limit of the past, named by an older request than the last one."""
        if limit == self._discovered:
            self._discovered_by = max(number, self._discovered_by)
            return True
        if number < self._discovered_by:
            return False
        self._discovered_by = number
        self.neighbours.forget()  # what they take was seen under another limit
        before = self.limit
        if self._discovered is not None:
            self._before_lowered.set_level(max(self._discovered, self._before_lowered.level(now)), now)
        self._discovered = limit
        self.limit = limit if self._configured is None else min(self._configured, limit)
        if self._started_at is not None and before is not None and before != self.limit:
            self._accrued += before * (now - self._started_at) / self.window_s
            self._initial_credit += self.limit - before  # a raised limit is credit at once
            self._started_at = now
        self._set_rates(now)
        return True

    def read(self, mark: Mark, remaining: float, charged: float, now: float) -> None:
        """A header of an admitted request, before its settlement. ``charged``: what the server charged on admission.
        `adopt` has been called with the limit of the same reading.
        """
        if self._discovered is None or self.limit is None:
            return
        if self._started_at is None or self._past_unknown:
            self._begin(min(self.limit, max(0.0, remaining + charged)), now)
        used = self._discovered - remaining
        since = self._granted - mark.granted + max(0.0, charged - mark.amount)
        most_whole = mark.whole[0] + since + self._whole_added - mark.whole[1]
        most_returned = mark.returned[0] + since + self._returned_added - mark.returned[1]
        self.refunds.judge(mark.refund, used=used, own=charged, most_with_refunds=most_returned, limit=self._discovered, now=now)
        whole_excess = self._capacity() - most_whole - remaining
        returned_excess = self._capacity() - most_returned - remaining
        if whole_excess > 1.0:  # headers are rounded to whole tokens
            self._whole.add(whole_excess, now)
            self._whole_added += whole_excess
        if returned_excess > 1.0:
            self._returned.add(returned_excess, now)
            self._returned_added += returned_excess
        excess = returned_excess if self._law.verdict else whole_excess
        self.neighbours.took(excess if excess > 1.0 else 0.0, mark.refund.granted_at, self._active.rate)
        alone = self._granted == mark.granted and self.reserved == mark.amount and mark.refund.others == 0
        if alone and (self._safety == 1.0 or self._past_unknown):
            exact = max(0.0, used - charged) + 1.0
            for account in (self._whole, self._returned):
                account.set_level(min(account.level(now), exact), now)
        self._past_unknown = False

    def exhausted(self, used: float, reserved_before: float, granted_at: float, now: float) -> None:
        """A 429 named this bucket: the server's account was ``used``, of which ``reserved_before`` belongs to requests
        that we granted earlier and that are still in flight. A rejected request is charged nothing.
        """
        if self._started_at is None and self.limit is not None:
            self._begin(max(0.0, self.limit - used), now)
        if granted_at > self._exhausted_at:  # else of the same burst: the account was no bound yet when it was granted
            self.neighbours.took(max(0.0, used - reserved_before - self._active.level(now)), granted_at, self._active.rate)
        self._exhausted_at = now
        for account in (self._whole, self._returned):
            account.set_level(used - reserved_before, now)

    def overrule(self, used: float, now: float) -> None:
        """The server admitted what our account had no room for: the account was wrong, and ``used`` takes its place."""
        for account in (self._whole, self._returned):
            account.set_level(min(account.level(now), used), now)

    def stats(self, now: float, until: float) -> BucketStats | None:
        """None while the limit is unknown. ``until``: the end of the time that counts for utilisation."""
        if self.limit is None:
            return None
        source: Literal["configured", "discovered"] = "configured" if self.limit == self._configured else "discovered"
        credit = min(self.limit, self.credit(now))
        elapsed = 0.0 if self._started_at is None else max(0.0, until - self._started_at)
        available = self._initial_credit + self._accrued + self.limit * elapsed / self.window_s
        settled = self._settled_returned if self._law.verdict or self._configured_binds else self._settled_whole
        utilisation = settled / available if available > 0 else 0.0
        return BucketStats(self.limit, source, credit, settled, self.reserved, self._initial_credit, utilisation)

    @property
    def _configured_binds(self) -> bool:
        return self._configured is not None and self._discovered is not None and self._configured < self._discovered

    def _account_wait_s(self, amount: float, now: float) -> float | None:
        """The neighbours' share never keeps a request out of an empty bucket."""
        capacity = self._capacity()
        room = capacity - self.reserved - min(amount, capacity)
        wait_s = self._active.time_until(room, now)
        margin = self.neighbours.margin(now)
        if wait_s is None or margin <= 0.0:
            return wait_s
        rate = self._active.rate - self.neighbours.rate
        over = self._active.level(now) + margin - room
        at_most = self._active.time_until(max(0.0, room - self.neighbours.most), now)
        if over <= EPSILON or at_most is None or at_most == 0.0:
            return wait_s
        return max(wait_s, min(at_most, over / rate if rate > 0 else inf), SHORTEST_S)

    def _capacity(self) -> float:
        """Of the provider's bucket; of the configured one as long as the provider's is not known."""
        limit = self._configured if self._discovered is None else self._discovered
        return inf if limit is None else limit * self._safety

    def _own_capacity(self) -> float:
        return inf if self._configured is None else self._configured * self._safety

    @property
    def _active(self) -> Drain:
        return self._returned if self._law.verdict else self._whole

    def _charge(self, account: Drain, amount: float, now: float) -> None:
        """No server's account is ever above its limit. Ours would be after a refusal whose ``used`` contains requests granted
        later that overtook the refused one: they are charged again when they are settled.
        """
        level = account.level(now)
        most = inf if self._discovered is None else max(self._discovered, self._before_lowered.level(now))
        account.add(min(amount, max(0.0, most - level)), now)

    def _start(self, now: float) -> None:
        if self._started_at is None and self.limit is not None:
            self._begin(min(self.limit, self.credit(now) / self._safety), now)

    def _begin(self, credit: float, now: float) -> None:
        self._started_at = now
        self._initial_credit = credit

    def _set_rates(self, now: float) -> None:
        if self.limit is not None:
            for account in (self._whole, self._returned, self._before_lowered):
                account.set_rate(self._capacity() / self.window_s, now)
        if self._configured is not None:
            self._own.set_rate(self._own_capacity() / self.window_s, now)
        if self._discovered is not None:
            self.refunds.start(self._discovered / self.window_s, now)
