"""The second client on the key: it asks for its share of TPM at a steady pace and drops what is refused."""

from __future__ import annotations

from helix_ray.config.emulator import EmulatorNeighbour
from helix_ray.emulator.buckets import BucketSet

_MAX_ARRIVALS = 100_000  # caught up with in one go; whoever asks after a longer silence finds the oldest ones gone


class Neighbour:
    """Its requests happen at their own times, between those of the client under test: whoever looks at the buckets lets them
    catch up first. They are sums here, not ledger entries, since the ledger is the bill of the client under test.

    A request of the neighbour is charged once, as if it were answered at once and used all that it asked for.
    """

    def __init__(self, config: EmulatorNeighbour) -> None:
        self._config = config
        self._next_at: float | None = None
        self.requests = 0
        self.refused = 0
        self.tokens = 0  # of its admitted requests

    def change(self, config: EmulatorNeighbour, now: float) -> None:
        self._config = config
        if self._next_at is not None:
            self._next_at = now

    def catch_up(self, buckets: BucketSet, now: float) -> None:
        """Sends every request that was due by ``now``."""
        share, tokens = self._config.share, self._config.request_tokens
        if share == 0:
            return
        if self._next_at is None:
            self._next_at = now
        pause = tokens / (share * buckets.tokens_shown.rate)
        self._next_at = max(self._next_at, now - pause * _MAX_ARRIVALS)
        while self._next_at <= now:
            self.requests += 1
            if buckets.admit_other(tokens, self._next_at):
                self.tokens += tokens
            else:
                self.refused += 1
            self._next_at += pause

    def summary(self) -> dict[str, object]:
        return {
            "share": self._config.share,
            "requests": self.requests,
            "admitted": self.requests - self.refused,
            "refused": self.refused,
            "tokens": self.tokens,
        }
