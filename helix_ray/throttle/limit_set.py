"""The limits of one service tier: a bucket for each of the six kinds, whether its limit is known yet or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, exp
from typing import Literal, NamedTuple

from helix_ray.config import ThrottleConfig
from helix_ray.providers.rate_limits import DAY_S, KINDS, MINUTE_S
from helix_ray.providers.readings import LimitReading, RateLimitDetail
from helix_ray.records import PastUse, TokenUsage
from helix_ray.throttle.bucket import Bucket, Reservation
from helix_ray.throttle.messages import BucketStats, PermitRequest

AMPLE = 64
"""Requests for which there must be room before permits are leased ahead of their use."""

_LARGEST_SCALE = 3.0
_SCALE_MEMORY = 0.998  # per settlement
_BINDING_MEMORY_S = 30.0
_LONGEST_COOLDOWN_S = 75.0  # for a limit of the minute
_NOTICEABLE_S = 0.05 * _BINDING_MEMORY_S

Reservations = dict[str, Reservation]


class Wait(NamedTuple):
    """``seconds`` None: until a request in flight ends. ``reason``: a bucket's name, or what else holds back; None: nothing."""

    seconds: float | None
    reason: str | None

    def longer(self, other: Wait) -> Wait:
        if self.seconds is None or (other.seconds is not None and other.seconds <= self.seconds):
            return self
        return other


NO_WAIT = Wait(0.0, None)


class Shown(NamedTuple):
    """A limit that headers show."""

    name: str
    window_s: float
    limit: float
    remaining: float | None
    reset_s: float | None


class Waits(NamedTuple):
    """Of one request, by the minute's limits, by what the provider has of the day's, and by the configured day's limits."""

    minute: Wait
    day: Wait
    own_day: Wait


class Limits:
    """Buckets of one tier. Prompt estimates that turn out too low are scaled up for later requests."""

    def __init__(self, config: ThrottleConfig) -> None:
        self._buckets = {
            name: Bucket(name, kind.window_s, getattr(config, kind.config_key), config.safety_factor) for name, kind in KINDS.items()
        }
        self._scale = 1.0  # of prompt estimates
        self._guess: Literal["RPM", "TPM"] | None = None  # what 429s that name nothing are about
        self._requests = 0.0  # admitted within a minute when tokens were last refused
        self._windows_s = {"R": MINUTE_S, "T": MINUTE_S}  # of the limits that headers show

    def __getitem__(self, name: str) -> Bucket:
        return self._buckets[name]

    def restore(self, past: Sequence[PastUse] | None, limits: Mapping[str, float], now: float) -> None:
        """Set what was taken before the first grant (None: not known), and limits that the provider is known to have."""
        for name, limit in limits.items():
            if name in self._buckets:
                self._buckets[name].name_limit(limit, -1, now)
        for name, bucket in self._buckets.items():
            bucket.restore(None if past is None else _amounts(name, past), now)

    def waits(self, request: PermitRequest, now: float) -> Waits:
        minute = day = own_day = NO_WAIT
        for name, bucket in self._buckets.items():
            if bucket.limit is None:
                continue
            wait = Wait(bucket.wait_s(self._amount(name, request), now), name)
            if KINDS[name].window_s != DAY_S:
                minute = minute.longer(wait)
            elif bucket.own:
                own_day = own_day.longer(wait)
            else:
                day = day.longer(wait)
        return Waits(minute, day, own_day)

    def have_ample_room(self, request: PermitRequest, now: float) -> bool:
        """Whether each limit has room at once for `AMPLE` such requests, or is not touched where it is smaller than that."""
        amounts = ((bucket, AMPLE * self._amount(name, request)) for name, bucket in self._buckets.items())
        return all(bucket.credit(now) >= min(amount, bucket.capacity) for bucket, amount in amounts)

    def reserve(self, request: PermitRequest, number: int, now: float) -> Reservations:
        return {name: bucket.reserve(self._amount(name, request), number, now) for name, bucket in self._buckets.items()}

    def answered(self, request: PermitRequest, held: Reservations, usage: TokenUsage, reading: LimitReading | None, now: float) -> None:
        for name, window_s, limit, remaining, reset_s in self._shown(reading, now):
            bucket, reservation = self._buckets[name], held[name]
            if bucket.show_limit(limit, reservation.number, window_s, now) and remaining is not None:
                charged = KINDS[name].amount(usage.prompt, request.max_completion_tokens)
                bucket.read(reservation, remaining, charged, reset_s, now)
        if request.prompt_tokens > 0:
            self._scale = max(1.0, self._scale * _SCALE_MEMORY, min(_LARGEST_SCALE, usage.prompt / request.prompt_tokens))
        for name, reservation in held.items():
            charged = KINDS[name].amount(usage.prompt, request.max_completion_tokens)
            self._buckets[name].settle(reservation, KINDS[name].amount(usage.prompt - usage.cached, usage.completion), now, charged)

    def keep_whole(self, reservations: Reservations, now: float) -> None:
        """End a request whose outcome is not known: it is charged all that it may have used."""
        for name, reservation in reservations.items():
            self._buckets[name].settle(reservation, reservation.amount, now)

    def give_back(self, reservations: Reservations, reading: LimitReading | None, now: float) -> None:
        """End a request that was charged nothing. Its headers still name the limits."""
        for name, reservation in reservations.items():
            self._buckets[name].give_back(reservation, now)
        for name, window_s, limit, remaining, _ in self._shown(reading, now):
            bucket, reservation = self._buckets[name], reservations[name]
            first = bucket.limit is None
            if bucket.show_limit(limit, reservation.number, window_s, now) and first and remaining is not None:
                bucket.exhausted(limit - remaining, 0.0, reservation, now)

    def refused(
        self,
        limited: RateLimitDetail,
        request: PermitRequest,
        held: Reservations,
        reading: LimitReading | None,
        in_flight: Iterable[Reservations],
        now: float,
        *,
        probe: bool,
    ) -> str | None:
        """A 429, or a 413 that names a limit. ``in_flight``: of the other requests. The limit that has no room, if that is known."""
        name, limit = limited.kind, limited.limit
        if name is None or limit is None:
            return name or self._refused_by_none(limited.retry_after_s, held, reading, now, probe=probe)
        bucket, reservation = self._buckets[name], held[name]
        if limited.requested is not None and KINDS[name].prompt and request.prompt_tokens > 0:
            prompt = limited.requested - KINDS[name].completion * request.max_completion_tokens
            self._scale = max(self._scale, min(_LARGEST_SCALE, prompt / request.prompt_tokens))
        shown = next((each.limit for each in self._shown(reading, now) if each.name == name), None)
        if not bucket.name_limit(limit, reservation.number, now, shown=shown) or limited.never_fits:
            return name
        earlier = sum(reservations[name].amount for reservations in in_flight if reservations[name].number < reservation.number)
        bucket.exhausted(limited.exactly_used(bucket.window_s), earlier, reservation, now, limited.retry_after_s)
        return name

    def _refused_by_none(
        self, asked_s: float | None, held: Reservations, reading: LimitReading | None, now: float, *, probe: bool
    ) -> str | None:
        """A 429 that names no limit: one that its headers show to be used up, else the tokens that were admitted, or, once one came
        while fewer than those were taken, the requests.
        """
        for name, _, limit, remaining, _ in self._shown(reading, now):
            bucket = self._buckets[name]
            if remaining is not None and remaining < held[name].amount:
                bucket.exhausted(limit, bucket.reserved, held[name], now, asked_s)
                return None if bucket.windows.counted else name
        least, guess = 0.0, self._guess or ("TPM" if self._buckets["TPM"].limit is None else "RPM")
        if self._buckets[guess].contradicted(held[guess], now) and not probe:
            self._buckets[guess].unlearn(now)
            guess, least = "RPM", self._requests
        elif guess == "TPM":
            self._requests = self._buckets["RPM"].windows.level(now)
        self._guess = guess
        self._buckets[guess].learn(held[guess], asked_s, now, probe=probe, least=least)
        return None

    def probed(self, closed_for_s: float, now: float) -> None:
        """A probe was served, after a cooldown of that length."""
        if closed_for_s > _LONGEST_COOLDOWN_S:
            self._buckets[self._guess or "RPM"].unlearn(now)

    def overrule(self, name: str, reading: LimitReading | None, now: float) -> None:
        """The provider admitted a request for which our account of this day's limit had no room. If the reading does not show
        what is left, the bucket counts as full again, until the next refusal.
        """
        bucket = self._buckets[name]
        shown = next((each for each in self._shown(reading, now) if each.name == name and each.remaining is not None), None)
        bucket.overrule(0.0 if shown is None or shown.remaining is None else shown.limit - shown.remaining, now)

    def stats(self, now: float, until: float) -> dict[str, BucketStats]:
        """Of the limits that are known."""
        return {name: stats for name, bucket in self._buckets.items() if (stats := bucket.stats(now, until)) is not None}

    def _shown(self, reading: LimitReading | None, now: float) -> list[Shown]:
        """Of the limits that the headers show. What was shown before is another limit's when a reading tells of another window."""
        if reading is None:
            return []
        shown = []
        for what, limit, remaining, reset_s, window_s in (
            ("R", reading.requests_limit, reading.requests_remaining, reading.requests_reset_s, reading.requests_window_s),
            ("T", reading.tokens_limit, reading.tokens_remaining, reading.tokens_reset_s, reading.tokens_window_s),
        ):
            if limit is None:
                continue
            if window_s not in (None, self._windows_s[what]):
                self._buckets[_name(what, self._windows_s[what])].unshow(now)
                self._windows_s[what] = window_s
            shown.append(Shown(_name(what, self._windows_s[what]), self._windows_s[what], limit, remaining, reset_s))
        return shown

    def _amount(self, name: str, request: PermitRequest) -> float:
        prompt = request.prompt_tokens if self._scale <= 1.0 else ceil(request.prompt_tokens * self._scale)
        return KINDS[name].amount(prompt, request.max_completion_tokens)


def _name(what: str, window_s: float) -> str:
    return f"{what}P{'M' if window_s == MINUTE_S else 'D'}"


class BindingMeter:
    """The limit that holds the run back: seconds that the head of the wait queue waited for each bucket, averaged over 30 s."""

    def __init__(self) -> None:
        self._waited: dict[str, float] = {}
        self._current: str | None = None
        self._at: float | None = None

    def note(self, bucket: str | None, now: float) -> None:
        """From now on the head waits for ``bucket``; None: for nothing, or for something that is not a bucket."""
        if self._at is not None and now > self._at:
            keep = exp(-(now - self._at) / _BINDING_MEMORY_S)
            self._waited = {name: waited * keep for name, waited in self._waited.items()}
            if self._current is not None:
                self._waited[self._current] = self._waited.get(self._current, 0.0) + _BINDING_MEMORY_S * (1 - keep)
        self._at = now
        self._current = bucket

    def binding(self, now: float) -> str | None:
        """None when no bucket made the head wait for 5 % of the recent time."""
        self.note(self._current, now)
        name = max(self._waited, key=lambda each: self._waited[each], default=None)
        return name if name is not None and self._waited[name] >= _NOTICEABLE_S else None


def _amounts(name: str, past: Sequence[PastUse]) -> list[tuple[float, float]]:
    """Seconds ago and amount of each use within the limit's window, oldest first."""
    kind = KINDS[name]
    uses = sorted((use for use in past if use.age_s < kind.window_s), key=lambda use: -use.age_s)
    return [(use.age_s, kind.amount(use.prompt_tokens, use.completion_tokens, use.requests)) for use in uses]
