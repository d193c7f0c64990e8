"""One limit of the provider: a continuously refilling bucket, kept on the client's side.

The server's law (Groq's published messages follow it): ``used`` sinks by ``limit / window`` per second, a request is
admitted iff ``used + requested <= limit``, and then charged. Rejected requests are charged nothing. Headers show that account
a round trip late, so ours is an **upper bound** of it at all times:

    ours = kept(t) + reserved

``reserved`` belongs to requests in flight and does not sink. ``kept`` sinks, and takes a request's real use when it is settled.
Why that is a bound: let *V* be the server's account plus everything granted that has not arrived there. Granting raises *V*
and ours alike. A settlement lowers the server's account first and ours later. *V* sinks whenever the server's account is
above zero, ours only while ``kept`` is. And when the server's account is empty, *V* is nothing but requests under way, all
of them in ``reserved``. (An account that lets a charge sink from the grant on is no bound: while a request travels, an
empty server account has nothing to sink, and the difference comes back as a 429 as soon as the bucket is full.)

Comparing with a header. The header of request *i* shows the server after it admitted *i* and before it settled *i*. At that
moment it can hold what ours held right after granting *i*, plus what was granted until the answer came, and not more.
So each grant leaves a `Reservation`, and

    excess = (capacity - ours at the grant - granted since - already added since) - remaining

is another client's use, a reservation that the server does not return, or a start with a bucket that was not full: it is added
to ours. A header never lowers ours, with one exception: when *i* was alone, nothing else in flight from its grant to its
answer, the server's account is exactly what the header shows.

Other clients on the same key go on between two readings: `other_clients` bounds what they may have taken since the last one,
and that much is left to them. A configured limit below the provider's has an account of its own, at its own rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal, NamedTuple

from helix_ray.throttle.leaky_level import EPSILON, LeakyLevel
from helix_ray.throttle.messages import BucketStats
from helix_ray.throttle.other_clients import OtherClients

SHORTEST_S = 1e-4
_MUCH = 0.1  # of the limit
_KEEPS_LESS = 0.05  # a reading


class Reservation(NamedTuple):
    """One request's reservation, and our account right after it was made."""

    number: int  # grants are numbered, so that old headers are recognised
    amount: float
    granted_at: float
    granted: float  # total ever granted, this one included
    level: float
    added: float  # from headers, until then
    alone: bool  # no other request was in flight


class BucketWaits(NamedTuple):
    """Seconds until a request fits; 0: now; None: not before a request in flight is settled."""

    provider_s: float | None  # by the provider's account
    own_s: float | None  # by the configured one


class Bucket:
    """A bucket whose limit is not known yet admits everything and counts only what is in flight."""

    def __init__(self, name: str, window_s: float, configured: float | None, safety_factor: float) -> None:
        self.name = name
        self.window_s = window_s
        self.limit = configured
        self.reserved = 0.0
        self.other_clients = OtherClients()
        self._configured = configured
        self._provided: float | None = None
        self._provided_by = -1
        self._safety = safety_factor
        self._kept, self._own = LeakyLevel(), LeakyLevel()
        self._before_lowered = LeakyLevel()  # the most that the server's account can hold since its limit sank
        self._granted = self._added = self._settled = 0.0
        self._unused = 0.0  # of what was reserved by requests settled since the last reading
        self._keeps = 0.0  # the share of it that the server does not return, 0 to 1
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
        for account in (self._kept, self._own):
            if past is None:
                account.set_level(self._own_capacity, now)
            for age_s, amount in past or ():
                account.add(amount, now - age_s)

    def credit(self, now: float) -> float:
        """What could be granted at once: 0 to the limit, infinite while that is unknown."""
        provider = self._capacity - self._kept.level(now) - self.reserved - self.other_clients.margin(now)
        if self._configured_binds:
            provider = min(provider, self._own_capacity - self._own.level(now) - self.reserved)
        return max(0.0, provider)

    def waits(self, amount: float, now: float) -> BucketWaits:
        """A request larger than the whole bucket waits for an empty one, and then gets the provider's own 413."""
        if self.limit is None:
            return BucketWaits(0.0, 0.0)
        account_s = self._account_wait_s(amount, now)
        if self._provided is None:
            return BucketWaits(0.0, account_s)
        if not self._configured_binds:
            return BucketWaits(account_s, 0.0)
        capacity = self._own_capacity
        return BucketWaits(account_s, self._own.time_until(capacity - self.reserved - min(amount, capacity), now))

    def reserve(self, amount: float, number: int, now: float) -> Reservation:
        if self._started_at is None and self.limit is not None:
            self._begin(min(self.limit, self.credit(now) / self._safety), now)
        alone = self.reserved == 0.0
        self.reserved += amount
        self._granted += amount
        return Reservation(number, amount, now, self._granted, self._kept.level(now) + self.reserved, self._added, alone)

    def settle(self, reservation: Reservation, used: float, now: float, charged: float | None = None) -> None:
        """End a request that used that much; ``charged``: what the server charged on admission, as far as that is known."""
        self.give_back(reservation)
        unused = max(0.0, (charged or used) - used)
        self._unused += unused
        used += self._keeps * unused
        if self.limit is None:
            return
        # At most up to the limit, which no server's account exceeds. Ours would after a refusal whose ``used`` contains requests
        # that overtook the refused one: they are charged again when they are settled.
        most = inf if self._provided is None else max(self._provided, self._before_lowered.level(now))
        self._kept.add(min(used, max(0.0, most - self._kept.level(now))), now)
        self._own.add(used, now)
        self._settled += used

    def give_back(self, reservation: Reservation) -> None:
        """End a request that was not sent, or rejected: the server charged nothing."""
        self.reserved = max(0.0, self.reserved - reservation.amount)

    def apply_limit(self, limit: float, number: int, now: float) -> bool:
        """Take over the limit that the provider names. False: it is outdated, named by an older request than the last one."""
        if limit == self._provided:
            self._provided_by = max(number, self._provided_by)
            return True
        if number < self._provided_by:
            return False
        self._provided_by = number
        self.other_clients = OtherClients()  # what they take was seen under another limit
        before = self.limit
        if self._provided is not None:
            self._before_lowered.set_level(max(self._provided, self._before_lowered.level(now)), now)
        self._provided = limit
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
        if self._provided is None or self.limit is None:
            return
        if self._started_at is None or self._past_unknown:
            self._begin(min(self.limit, max(0.0, remaining + charged)), now)
        since = self._granted - reservation.granted + max(0.0, charged - reservation.amount)
        excess = self._capacity - (reservation.level + since + self._added - reservation.added) - remaining
        excess = self._explain(excess)
        self._kept.add(excess, now)
        self._added += excess
        self.other_clients.took(excess, reservation.granted_at, self._kept.rate)
        alone = reservation.alone and self._granted == reservation.granted and self.reserved == reservation.amount
        if alone and (self._safety == 1.0 or self._past_unknown):
            self.overrule(max(0.0, self._provided - remaining - charged) + 1.0, now)
        self._past_unknown = False

    def exhausted(self, used: float, reserved_before: float, granted_at: float, now: float) -> None:
        """A 429 named this bucket: the server's account was ``used``, of which ``reserved_before`` belongs to requests
        granted earlier and still in flight. A rejected request is charged nothing.
        """
        if self._started_at is None and self.limit is not None:
            self._begin(max(0.0, self.limit - used), now)
        if granted_at > self._exhausted_at:  # else of the same burst: the account was no bound yet when it was granted
            excess = self._explain(used - reserved_before - self._kept.level(now))
            self.other_clients.took(excess, granted_at, self._kept.rate)
        self._exhausted_at = now
        self._kept.set_level(used - reserved_before, now)

    def overrule(self, used: float, now: float) -> None:
        """The server's account is ``used`` at most: it admitted what ours had no room for, or showed it."""
        self._kept.set_level(min(self._kept.level(now), used), now)

    def stats(self, now: float, until: float) -> BucketStats | None:
        """None while the limit is unknown. ``until``: end of the time that counts for utilisation."""
        if self.limit is None:
            return None
        source: Literal["configured", "discovered"] = "configured" if self.limit == self._configured else "discovered"
        elapsed = 0.0 if self._started_at is None else max(0.0, until - self._started_at)
        available = self._initial_credit + self._accrued + self.limit * elapsed / self.window_s
        utilisation = self._settled / available if available > 0 else 0.0
        credit = min(self.limit, self.credit(now))
        return BucketStats(self.limit, source, credit, self._settled, self.reserved, self._initial_credit, utilisation)

    def _explain(self, excess: float) -> float:
        """Learn from what the server has beyond our account what it keeps of unused reservations. The excess, 0 and up."""
        if excess < -_MUCH * self._capacity:
            self._keeps = max(0.0, self._keeps - _KEEPS_LESS)
        elif excess > 1.0 and self._unused > 0.0:  # headers are rounded to whole tokens
            self._keeps = min(1.0, self._keeps + excess / self._unused)
        self._unused = 0.0
        return excess if excess > 1.0 else 0.0

    @property
    def _configured_binds(self) -> bool:
        return self._configured is not None and self._provided is not None and self._configured < self._provided

    def _account_wait_s(self, amount: float, now: float) -> float | None:
        """The margin for other clients never keeps a request out of an empty bucket."""
        room = self._capacity - self.reserved - min(amount, self._capacity)
        wait_s = self._kept.time_until(room, now)
        margin = self.other_clients.margin(now)
        if wait_s is None or margin <= 0.0:
            return wait_s
        rate = self._kept.rate - self.other_clients.rate
        over = self._kept.level(now) + margin - room
        at_most = self._kept.time_until(max(0.0, room - self.other_clients.most), now)
        if over <= EPSILON or at_most is None or at_most == 0.0:
            return wait_s
        return max(wait_s, min(at_most, over / rate if rate > 0 else inf), SHORTEST_S)

    @property
    def _capacity(self) -> float:
        """Of the provider's bucket; of the configured one as long as the provider's is not known."""
        limit = self._configured if self._provided is None else self._provided
        return inf if limit is None else limit * self._safety

    @property
    def _own_capacity(self) -> float:
        return inf if self._configured is None else self._configured * self._safety

    def _begin(self, credit: float, now: float) -> None:
        self._started_at = now
        self._initial_credit = credit

    def _set_rates(self, now: float) -> None:
        if self.limit is not None:
            for account in (self._kept, self._before_lowered):
                account.set_rate(self._capacity / self.window_s, now)
        if self._configured is not None:
            self._own.set_rate(self._own_capacity / self.window_s, now)
