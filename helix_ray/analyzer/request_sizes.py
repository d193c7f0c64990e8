"""The largest request that the provider does not reject with a 413."""

from __future__ import annotations

from helix_ray.providers.readings import LimitReading, RateLimitDetail

_OF_ALL_TOKENS = ("TPM", "TPD")


class RequestSizes:
    """Learns the limit from the headers of any answer, or from the 413 of a request that is larger."""

    def __init__(self) -> None:
        self._shown: float | None = None  # tokens a minute, by the newest headers
        self._refused: float | None = None  # the limit that a 413 named

    def read(self, reading: LimitReading) -> None:
        """Headers that show more than a 413 named replace it: the limit was raised."""
        if reading.tokens_limit is not None:
            self._shown = reading.tokens_limit
            if self._refused is not None and self._shown > self._refused:
                self._refused = None

    def refused(self, detail: RateLimitDetail) -> None:
        if detail.never_fits and detail.kind in _OF_ALL_TOKENS:
            self._refused = detail.limit

    def too_large(self, tokens: int, reads: int) -> bool:
        """Whether a request of these tokens (prompt estimate and completion) would get a 413. A request of a single read is
        sent until such a request was refused: its estimate may be too high, and shrinking it costs room for its answer.
        """
        if self._refused is not None and tokens > self._refused:
            return True
        return reads > 1 and self._shown is not None and tokens > self._shown
