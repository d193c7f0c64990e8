"""One limit of the provider: a continuously refilling bucket, kept on the client's side.

The server's law (Groq's published messages follow it): ``used`` sinks by ``limit / window`` per second, a request is
admitted iff ``used + requested <= limit``, and then charged. Rejected requests are charged nothing. Headers show that account
a round trip late, so ours is an **upper bound** of it at all times:

    ours = kept(t) + reserved

``reserved`` belongs to requests in flight and does not sink. ``kept`` sinks, and takes a request's charge when it is settled.
Why that is a bound: let *V* be the server's account plus everything granted that has not arrived there. Granting raises *V*
and ours alike. A settlement lowers the server's account first and ours later. *V* sinks whenever the server's account is
above zero, ours only while ``kept`` is. And when the server's account is empty, *V* is nothing but requests under way, all
of them in ``reserved``. (An account that lets a charge sink from the grant on is no bound: while a request travels, an
empty server account has nothing to sink, and the difference comes back as a 429 as soon as the bucket is full.)

Comparing with a header. The header of request *i* shows the server after it admitted *i* and before it settled *i*. At that
moment it can hold what ours held right after granting *i*, plus what was granted until the answer came, and not more.
Refunds since then lower both sides. So each grant leaves a `Reservation`, and

    excess = (capacity - ours at the grant - granted since - already added since) - remaining

is another client's use, or a start with a bucket that was not full: it is added to ours. A header never lowers ours, with one
exception: when *i* was alone, nothing else in flight from its grant to its answer, the server's account is exactly what the
header shows.

Two accounts run side by side, one with unused reservations returned and one without; `RefundDetector` picks. Both are bounds
under their own law, so picking the other one later needs no correction. A configured limit below the provider's has a third
account, which counts real usage and sinks at the configured rate.

Other clients on the same key go on between two readings. `OtherClients` bounds what they may have taken since the last one,
and that much is left to them. It is 0 as long as no reading showed other clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf
from typing import Literal, NamedTuple

from helix_ray.throttle.limits.leaky_level import EPSILON, LeakyLevel
from helix_ray.throttle.limits.refund import RefundDetector, RefundMark
from helix_ray.throttle.messages import BucketStats

SHORTEST_S = 1e-4
_CLIENTS_MEMORY_S = 10.0
_LONGEST_AGE_S = 5.0
_AHEAD_S = 1.0  # until the request that is about to go is there, and since use comes in bursts


class Reservation(NamedTuple):
    """One request's reservation, and our account right after it was made. Accounts are pairs: (level, added from headers)."""

    number: int  # grants are numbered, so that old headers are recognised
    amount: float
    granted: float  # total ever granted, this one included
    whole: tuple[float, float]  # where reservations are kept whole
    returned: tuple[float, float]  # where unused parts are returned
    refund: RefundMark


class BucketWaits(NamedTuple):
    """Seconds until a request fits; 0: now; None: not before a request in flight is settled."""

    provider_s: float | None  # by the provider's account
    own_s: float | None  # by the configured one


class OtherClients:
    """The rate at which other clients use this limit: the excess of readings over our own account, averaged over 10 s.

    A reading shows the server's account at the admission of a request, a round trip ago. `margin` is what the others may have
    taken since then. The excess of a first reading is past use, not a rate.
    """

    def __init__(self) -> None:
        self.rate = 0.0  # a second
        self._seen_until: float | None = None  # their use until then is in our account
        self._late = 0.0  # shown by readings older than that

    @property
    def most(self) -> float:
        """The largest margin."""
        return self.rate * _LONGEST_AGE_S

    def took(self, amount: float, granted_at: float, refill: float) -> None:
        """Note a reading of a request granted then, which showed ``amount`` more than our account could explain. ``refill``:
        of the limit, a second. No client takes more than that for long, so a larger excess is past use.
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


class Bucket:
    """``law``: the detector of another bucket, for limits that no header shows; by default the bucket's own.

    A bucket whose limit is not known yet admits everything and counts only what is in flight.
    """

    def __init__(
        self, name: str, window_s: float, configured: float | None, safety_factor: float, law: RefundDetector | None = None
    ) -> None:
        self.name = name
        self.window_s = window_s
        self.limit = configured
        self.reserved = 0.0
        self.refunds = RefundDetector()
        self.other_clients = OtherClients()
        self._law = law or self.refunds
        self._configured = configured
        self._discovered: float | None = None
        self._discovered_by = -1
        self._safety = safety_factor
        self._whole, self._returned, self._own = LeakyLevel(), LeakyLevel(), LeakyLevel()
        self._before_lowered = LeakyLevel()  # the most that the server's account can hold since its limit sank
        self._whole_added = self._returned_added = 0.0
        self._granted = 0.0
        self._settled_whole = self._settled_returned = 0.0
        self._past_unknown = False
        self._exhausted_at = -inf
        self._started_at: float | None = None
        self._initial_credit = self._accrued = 0.0
        self._set_rates(-inf)

    def restore(self, past: Sequence[tuple[float, float]] | None, now: float) -> None:
        """What was taken before the first grant, as (seconds ago, amount), oldest first; None: not known, so everything."""
        self._past_unknown = past is None
        if self._configured is None:
            return
        for account in (self._whole, self._returned, self._own):
            if past is None:
                account.set_level(self._own_capacity(), now)
            for age_s, amount in past or ():
                account.add(amount, now - age_s)

    def used(self, now: float) -> float:
        """Our upper bound of the server's account: 0 and up, rarely above the limit."""
        return self._active.level(now) + self.reserved

    def credit(self, now: float) -> float:
        """What could be granted at once: 0 to the limit, infinite while that is unknown."""
        provider = self._capacity() - self.used(now) - self.other_clients.margin(now)
        if self._configured_binds:
            provider = min(provider, self._own_capacity() - self._own.level(now) - self.reserved)
        return max(0.0, provider)

    def waits(self, amount: float, now: float) -> BucketWaits:
        """A request larger than the whole bucket waits for an empty one, and then gets the provider's own 413."""
        if self.limit is None:
            return BucketWaits(0.0, 0.0)
        account_s = self._account_wait_s(amount, now)
        if self._discovered is None:
            return BucketWaits(0.0, account_s)
        if not self._configured_binds:
            return BucketWaits(account_s, 0.0)
        capacity = self._own_capacity()
        return BucketWaits(account_s, self._own.time_until(capacity - self.reserved - min(amount, capacity), now))

    def reserve(self, amount: float, number: int, now: float) -> Reservation:
        self._start(now)
        refund = self.refunds.granted(amount, self.reserved, now)
        self.reserved += amount
        self._granted += amount
        return Reservation(
            number,
            amount,
            self._granted,
            (self._whole.level(now) + self.reserved, self._whole_added),
            (self._returned.level(now) + self.reserved, self._returned_added),
            refund,
        )

    def settle(self, reservation: Reservation, whole: float, returned: float, now: float, lag_s: float = 0.0) -> None:
        """End a request: the server charged ``whole`` on admission and, if it refunds, keeps ``returned``. ``lag_s``: from
        grant to socket.
        """
        self.reserved = max(0.0, self.reserved - reservation.amount)
        self.refunds.settled(reservation.amount, whole, lag_s, now)
        if self.limit is None:
            return
        self._charge(self._whole, whole, now)
        self._charge(self._returned, returned, now)
        self._own.add(returned, now)
        self._settled_whole += whole
        self._settled_returned += returned

    def give_back(self, reservation: Reservation, now: float) -> None:
        """End a request that was not sent, or rejected: the server charged nothing."""
        self.reserved = max(0.0, self.reserved - reservation.amount)
        self.refunds.void(reservation.amount, now)

    def apply_limit(self, limit: float, number: int, now: float) -> bool:
        """Take over the limit that the provider names. False: it is outdated, named by an older request than the last one."""
        if limit == self._discovered:
            self._discovered_by = max(number, self._discovered_by)
            return True
        if number < self._discovered_by:
            return False
        self._discovered_by = number
        self.other_clients = OtherClients()  # what they take was seen under another limit
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

    def read(self, reservation: Reservation, remaining: float, charged: float, now: float) -> None:
        """Read a header of an admitted request, before its settlement. ``charged``: what the server charged on admission.
        Precondition: `apply_limit` was called with the limit of the same reading.
        """
        if self._discovered is None or self.limit is None:
            return
        if self._started_at is None or self._past_unknown:
            self._begin(min(self.limit, max(0.0, remaining + charged)), now)
        used = self._discovered - remaining
        since = self._granted - reservation.granted + max(0.0, charged - reservation.amount)
        most_whole = reservation.whole[0] + since + self._whole_added - reservation.whole[1]
        most_returned = reservation.returned[0] + since + self._returned_added - reservation.returned[1]
        self.refunds.judge(reservation.refund, used=used, own=charged, most_with_refunds=most_returned, limit=self._discovered, now=now)
        whole_excess = self._capacity() - most_whole - remaining
        returned_excess = self._capacity() - most_returned - remaining
        if whole_excess > 1.0:  # headers are rounded to whole tokens
            self._whole.add(whole_excess, now)
            self._whole_added += whole_excess
        if returned_excess > 1.0:
            self._returned.add(returned_excess, now)
            self._returned_added += returned_excess
        excess = returned_excess if self._law.verdict else whole_excess
        self.other_clients.took(excess if excess > 1.0 else 0.0, reservation.refund.granted_at, self._active.rate)
        alone = self._granted == reservation.granted and self.reserved == reservation.amount and reservation.refund.others == 0
        if alone and (self._safety == 1.0 or self._past_unknown):
            exact = max(0.0, used - charged) + 1.0
            for account in (self._whole, self._returned):
                account.set_level(min(account.level(now), exact), now)
        self._past_unknown = False

    def exhausted(self, used: float, reserved_before: float, granted_at: float, now: float) -> None:
        """A 429 named this bucket: the server's account was ``used``, of which ``reserved_before`` belongs to requests
        granted earlier and still in flight. A rejected request is charged nothing.
        """
        if self._started_at is None and self.limit is not None:
            self._begin(max(0.0, self.limit - used), now)
        if granted_at > self._exhausted_at:  # else of the same burst: the account was no bound yet when it was granted
            self.other_clients.took(max(0.0, used - reserved_before - self._active.level(now)), granted_at, self._active.rate)
        self._exhausted_at = now
        for account in (self._whole, self._returned):
            account.set_level(used - reserved_before, now)

    def overrule(self, used: float, now: float) -> None:
        """The server admitted what our account had no room for: ``used`` replaces the account."""
        for account in (self._whole, self._returned):
            account.set_level(min(account.level(now), used), now)

    def stats(self, now: float, until: float) -> BucketStats | None:
        """None while the limit is unknown. ``until``: end of the time that counts for utilisation."""
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
        """The margin for other clients never keeps a request out of an empty bucket."""
        capacity = self._capacity()
        room = capacity - self.reserved - min(amount, capacity)
        wait_s = self._active.time_until(room, now)
        margin = self.other_clients.margin(now)
        if wait_s is None or margin <= 0.0:
            return wait_s
        rate = self._active.rate - self.other_clients.rate
        over = self._active.level(now) + margin - room
        at_most = self._active.time_until(max(0.0, room - self.other_clients.most), now)
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
    def _active(self) -> LeakyLevel:
        return self._returned if self._law.verdict else self._whole

    def _charge(self, account: LeakyLevel, amount: float, now: float) -> None:
        """Charge at most up to the limit, which no server's account exceeds. Ours would after a refusal whose ``used`` contains
        requests that overtook the refused one: they are charged again when they are settled.
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
