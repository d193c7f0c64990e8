"""One limit of the provider, kept on the client's side: a bucket that refills continuously, or a window (`windows`).

The law of a bucket (Groq's published messages follow it): ``used`` sinks by ``limit / window`` per second, a request is admitted
iff ``used + requested <= limit``, and then charged. Rejected requests are charged nothing. Headers show that account a round trip
late, so ours is an **upper bound** of it at all times:

    ours = kept(t) + reserved

``reserved`` belongs to requests in flight and does not sink. ``kept`` sinks, and takes a request's real use when it is settled.

The header of request *i* shows the server after it admitted *i* and before it settled *i*. At that moment it can hold what ours
held right after granting *i*, plus what was granted until the answer came, and not more. So each grant leaves a `Reservation`, and

    excess = (capacity - ours at the grant - granted since - already added since) - remaining

is another client's use, a reservation that the server does not return, or a start with a bucket that was not full: it is added
to ours. A header never lowers ours, unless *i* was alone in flight from its grant to its answer.

A limit comes from configuration, headers, the name that a 429 gives it, or, when that names nothing, from what was admitted until
then. One that no header shows is raised while it holds requests back and none is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal, NamedTuple

from helix_ray.throttle.levels import EPSILON, LeakyLevel
from helix_ray.throttle.messages import BucketStats
from helix_ray.throttle.other_clients import OtherClients
from helix_ray.throttle.windows import TICK_S, Windows

SHORTEST_S = 1e-4
_MUCH = 0.1  # of the limit
_KEEPS_LESS = 0.05  # a reading
_FIRST_GROWTH = 0.25
_GROWTH = 0.05  # of a limit that no header shows, in half a window; doubling while nothing is refused
_NEARLY = 0.8  # of a limit
_LEAST = 0.5  # of a limit that was learned, by one refusal
_LEAST_SEEN_S = 10.0
_PATIENCE = 2  # windows without a refusal
_LITTLE = 0.02  # of a limit: headers may be rounded
_LONGER = 1.25  # windows that a wait for a limit lasts at most
_TRAVEL_S = 0.3  # of a request, the longest


class Reservation(NamedTuple):
    """One request's reservation, and our account right after it was made."""

    number: int  # grants are numbered, so that old headers are recognised
    amount: float
    granted_at: float
    granted: float  # total ever granted, this one included
    level: float
    added: float  # from headers, until then
    alone: bool  # no other request was in flight


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
        self._kept, self.windows = LeakyLevel(), Windows(window_s)
        self._source: Literal["header", "named", "learned"] | None = None  # of what the provider allows
        self._distrusted = False  # headers showed room where there was none
        self._growth, self._raise_at, self._bound = 0.0, inf, False
        self._anchor = (0.0, 0.0)  # when it was seen to be exhausted, or began, and what was taken until then
        self._unlearned: tuple[float | None, Literal["header", "named", "learned"] | None] = (None, None)
        self._granted = self._added = self._settled = self._taken = 0.0
        self._unused = 0.0  # of what was reserved by requests settled since the last reading
        self._keeps = 0.0  # the share of it that the server does not return, 0 to 1
        self._past_unknown = False
        self._exhausted_at = -inf
        self._least = 0.0  # of the limit that this burst of refusals teaches
        self._served_since = False
        self._started_at: float | None = None
        self._initial_credit = self._accrued = 0.0
        self._set_rates(-inf)

    def restore(self, past: Sequence[tuple[float, float]] | None, now: float) -> None:
        """What was taken before the first grant, as (seconds ago, amount), oldest first; None: not known, so everything."""
        self._past_unknown = past is None
        for age_s, amount in past or ():
            self.windows.add(amount, now - age_s, now)
        if self.limit is None:
            return
        if past is None:
            self._kept.set_level(self.capacity, now)
        before = LeakyLevel()
        before.set_rate(self._kept.rate, -inf)
        for age_s, amount in past or ():
            before.add(amount, now - age_s)
        self._kept.add(before.level(now), now)

    def credit(self, now: float) -> float:
        """What could be granted at once: 0 to the limit, infinite while that is unknown."""
        return max(0.0, self.capacity - self._used(now) - self._margin(now))

    def wait_s(self, amount: float, now: float) -> float | None:
        """Until a request fits; 0: now; None: not before a request in flight is settled. One that is larger than the whole bucket
        waits for an empty one, and then gets the provider's own 413.
        """
        if self.limit is None:
            return 0.0
        self._raise(now)
        wait_s = self._account_wait_s(amount, now)
        self._bound |= wait_s != 0.0
        return wait_s

    def reserve(self, amount: float, number: int, now: float) -> Reservation:
        if self._started_at is None and self.limit is not None:
            self._begin(min(self.limit, self.credit(now) / self._safety), now)
        if self._granted == 0.0:
            self._anchor = (now, 0.0)
        alone = self.reserved == 0.0
        self.reserved += amount
        self._granted += amount
        self.windows.add(amount, now, now)
        level = self._used(now) + (self.windows.lately(now) if self.windows.counted else 0.0)
        return Reservation(number, amount, now, self._granted, level, self._added, alone)

    def settle(self, reservation: Reservation, used: float, now: float, charged: float | None = None) -> None:
        """End a request that used that much; ``charged``: what the server charged on admission, as far as that is known."""
        self.give_back(reservation, now)
        self._served_since |= reservation.granted_at > self._exhausted_at
        unused = max(0.0, (charged or used) - used)
        self._unused += unused
        used += self._keeps * unused
        self.windows.add(used, reservation.granted_at, now)
        self._taken += used
        if self.limit is None:
            return
        self._kept.add(used, now)
        self._settled += used

    def give_back(self, reservation: Reservation, now: float) -> None:
        """End a request that was not sent, or rejected: the server charged nothing."""
        self.reserved = max(0.0, self.reserved - reservation.amount)
        self.windows.add(-reservation.amount, reservation.granted_at, now)

    def show_limit(self, limit: float, number: int, window_s: float, now: float) -> bool:
        """Take over the limit that headers show. False: it is outdated, shown by an older request than the last one, or not true."""
        if self._distrusted:
            return False
        if window_s != self.window_s:
            self.window_s = window_s
            self.windows.set_window(window_s)
            self._set_rates(now)
        applied = self.apply_limit(limit, number, now)
        if applied:
            self._source = "header"
        return applied

    def unshow(self, now: float) -> None:
        """What headers showed was another limit's."""
        if self._source == "header":
            self._source = None
            self._set_limit(None, now)

    def name_limit(self, limit: float, number: int, now: float, *, shown: float | None = None) -> bool:
        """Take over the limit that a 429 names. ``shown``: by its headers, which are not true where they differ."""
        self._distrusted |= shown is not None and abs(shown - limit) > _LITTLE * limit
        if self._source != "header" or self._distrusted:
            self._source = "named"
            self._be_patient(now)
        return self.apply_limit(limit, number, now)

    def apply_limit(self, limit: float, number: int, now: float) -> bool:
        """Take over a limit. False: it is outdated, named by an older request than the last one."""
        if limit == self._provided:
            self._provided_by = max(number, self._provided_by)
            return True
        if number < self._provided_by:
            return False
        self._provided_by = number
        self.other_clients = OtherClients()  # what they take was seen under another limit
        self._set_limit(limit, now)
        return True

    def learn(self, reservation: Reservation, asked_s: float | None, now: float, *, probe: bool, least: float = 0.0) -> None:
        """A 429 named nothing: the limit is what was admitted within the last window. ``asked_s``: how long it asks to wait.
        ``least``: what was admitted within a window before.
        """
        burst = reservation.granted_at <= self._exhausted_at
        if not burst:
            self._least = least
            self._judge_windows(reservation.amount, asked_s, now)
        if probe or (asked_s is not None and asked_s > _LONGER * self.window_s):  # this limit, or whatever it is, is known
            return
        admitted = max(self.windows.level(now), reservation.amount)
        known, since_s = self._provided or 0.0, max(TICK_S, now - self._anchor[0])
        if burst or self._source != "learned":
            admitted = max(admitted, self._least)
            if not self.windows.counted:  # a bucket that was full at the start has given more than its limit
                admitted /= 1 + min(since_s / self.window_s, self.window_s / since_s)
        elif self.windows.counted:
            admitted = max(min(admitted, known), _NEARLY * known)
        elif since_s < _LEAST_SEEN_S:
            admitted = known
        else:  # it was empty then and is now, so that what came in between is what it refills
            admitted = max(min((self._taken - self._anchor[1]) / since_s * self.window_s, known), _LEAST * known)
        if burst or since_s >= _LEAST_SEEN_S:
            self._anchor = (now, self._taken)
        if not burst:
            self._unlearned = (self._provided, self._source)
            self._be_patient(now)
        self._distrusted |= self._source == "header"
        self._source = "learned"
        self._exhausted_at, self._served_since = now, False
        self._set_limit(max(reservation.amount, admitted), now)
        self._kept.set_level(self.capacity - self.reserved, now)

    def contradicted(self, reservation: Reservation, now: float) -> bool:
        """Whether what was learned had much room for a request that was refused."""
        burst = reservation.granted_at <= self._exhausted_at
        taken = self.windows.level(now) + self.windows.lately(now) + reservation.amount
        room = self._provided is not None and taken < _NEARLY * self._provided
        return self._source == "learned" and room and not burst

    def unlearn(self, now: float) -> None:
        """What was learned last was no limit: the API refused for longer than its window, or with room in it."""
        if self._source == "learned":
            limit, self._source = self._unlearned
            self._distrusted &= self._source != "header"
            self._set_limit(limit, now)

    def read(self, reservation: Reservation, remaining: float, charged: float, reset_s: float | None, now: float) -> None:
        """Read a header of an admitted request, before its settlement. ``charged``: what the server charged on admission.
        Precondition: `apply_limit` was called with the limit of the same reading.
        """
        if self._provided is None or self.limit is None:
            return
        if self._started_at is None or self._past_unknown:
            self._begin(min(self.limit, max(0.0, remaining + charged)), now)
        since = self._granted - reservation.granted + max(0.0, charged - reservation.amount)
        counted = self.windows.counted
        self.windows.shown(1 - remaining / self._provided, reset_s, reservation.granted_at + _TRAVEL_S)
        if self.windows.counted and not counted:
            self._count_by_windows()
        excess = self.capacity - (reservation.level + since + self._added - reservation.added) - remaining
        excess = self._explain(excess, 1.0)  # headers are rounded to whole tokens
        if self.windows.counted:
            self.windows.add(excess, now, now)
        else:
            self._kept.add(excess, now)
        self._added += excess
        self.other_clients.took(excess, reservation.granted_at, self._kept.rate)
        alone = reservation.alone and self._granted == reservation.granted and self.reserved == reservation.amount
        others = self._provided - remaining - charged
        if alone and not self.own and others > -2.0 and (self._safety == 1.0 or self._past_unknown):
            self.overrule(max(0.0, others) + 1.0, now)
        self._past_unknown = False

    def exhausted(self, used: float, reserved_before: float, reservation: Reservation, now: float, asked_s: float | None = None) -> None:
        """A 429 named this bucket: the server's account was ``used``, of which ``reserved_before`` belongs to requests
        granted earlier and still in flight. A rejected request is charged nothing. ``asked_s``: how long it asks to wait.
        """
        if self._started_at is None and self.limit is not None:
            self._begin(max(0.0, self.limit - used), now)
        used -= self._headroom
        if reservation.granted_at > self._exhausted_at:  # else of the same burst: the account was no bound yet when it was granted
            if self.windows.counted:
                self._explain(used - self.windows.level(now), 0.01)
            self.windows.set_level(max(used, self.windows.level(now)), now)
            self._judge_windows(max(1.0, used + reservation.amount - (self._provided or used)), asked_s, now)
            if not self.windows.counted:
                excess = self._explain(used - reserved_before - self._kept.level(now), 0.01)
                self.other_clients.took(excess, reservation.granted_at, self._kept.rate)
        self._exhausted_at, self._served_since = now, False
        self._kept.set_level(used - reserved_before, now)

    def overrule(self, used: float, now: float) -> None:
        """The server's account is ``used`` at most: it admitted what ours had no room for, or showed it."""
        self._kept.set_level(min(self._kept.level(now), used), now)
        if self.windows.counted:
            self.windows.set_level(min(self.windows.level(now), used + self.reserved), now)

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

    def _set_limit(self, limit: float | None, now: float) -> None:
        before = self.limit
        self._provided = limit
        self.limit = self._configured if limit is None else limit if self._configured is None else min(self._configured, limit)
        if self._started_at is not None and before is not None and self.limit is not None and before != self.limit:
            self._accrued += before * (now - self._started_at) / self.window_s
            self._initial_credit += self.limit - before  # a raised limit is credit at once
            self._started_at = now
        self._set_rates(now)

    def _be_patient(self, now: float) -> None:
        """Refused: whether there is more is tried after some windows, and with little, but for a limit that was only guessed."""
        guessed = self._source != "named" and self._growth == 0.0
        self._raise_at = now + (_PATIENCE if self._source == "named" else 1) * self.window_s
        self._growth, self._bound = _FIRST_GROWTH if guessed else _GROWTH, False

    def _raise(self, now: float) -> None:
        """No header shows this limit: after some time without a refusal the next request tries whether there is more by now."""
        if self._source in (None, "header") or now < self._raise_at or self._provided is None:
            return
        self._raise_at = now + self.window_s / (2 if self.windows.counted else 4)
        if self._bound:
            self._kept.add(self._provided * self._growth, now)  # more a minute, and no burst
            self._set_limit(self._provided * (1 + self._growth), now)
            self._growth, self._bound = min(1.0, 2 * self._growth), False

    def _judge_windows(self, over: float, asked_s: float | None, now: float) -> None:
        counted, limit = self.windows.counted, self._provided or max(self.windows.level(now), over)
        self.windows.refused(over / limit, asked_s, 0.0 if self._served_since else now - self._exhausted_at)
        if self.windows.counted and not counted:
            self._count_by_windows()

    def _count_by_windows(self) -> None:
        """What other clients seemed to take, and the server to keep, had only not come back."""
        self.other_clients, self._keeps = OtherClients(), 0.0

    def _explain(self, excess: float, least: float) -> float:
        """Learn from what the server has beyond our account what it keeps of unused reservations. The excess, 0 and up."""
        if excess < -_MUCH * self.capacity:
            self._keeps = max(0.0, self._keeps - _KEEPS_LESS)
        elif excess > least and self._unused > 0.0:
            self._keeps = min(1.0, self._keeps + excess / self._unused)
        self._unused = 0.0
        return excess if excess > least else 0.0

    def _used(self, now: float) -> float:
        return self.windows.level(now) if self.windows.counted else self._kept.level(now) + self.reserved

    @property
    def own(self) -> bool:
        """The configured limit binds, and not the provider's."""
        return self._configured is not None and (self._provided is None or self._configured < self._provided)

    @property
    def _headroom(self) -> float:
        """What the provider allows beyond that."""
        return self._provided - self._configured if self.own and self._provided and self._configured else 0.0

    def _margin(self, now: float) -> float:
        return max(0.0, self.other_clients.margin(now, shown=self._source == "header") - self._headroom)

    def _account_wait_s(self, amount: float, now: float) -> float | None:
        """The margin for other clients never keeps a request out of an empty bucket."""
        room = self.capacity - min(amount, self.capacity)
        if self.windows.counted:
            return self.windows.time_until(max(0.0, room - self._margin(now)), now)
        room -= self.reserved
        wait_s = self._kept.time_until(room, now)
        margin = self._margin(now)
        if wait_s is None or margin <= 0.0:
            return wait_s
        rate = self._kept.rate - self.other_clients.rate
        over = self._kept.level(now) + margin - room
        at_most = self._kept.time_until(max(0.0, room - self.other_clients.most(shown=self._source == "header")), now)
        if over <= EPSILON or at_most is None or at_most == 0.0:
            return wait_s
        return max(wait_s, min(at_most, over / rate if rate > 0 else inf), SHORTEST_S)

    @property
    def capacity(self) -> float:
        return inf if self.limit is None else self.limit * self._safety

    def _begin(self, credit: float, now: float) -> None:
        self._started_at = now
        self._initial_credit = credit

    def _set_rates(self, now: float) -> None:
        if self.limit is not None:
            self._kept.set_rate(self.capacity / self.window_s, now)
