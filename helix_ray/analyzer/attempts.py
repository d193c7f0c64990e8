"""Which failures of the API count against a read: those that cannot be an outage."""

from __future__ import annotations

from helix_ray.analyzer.leased_reads import Job

UNPROVEN = 3
"""Times ``retry.max_attempts``: failures of a read that nobody can tell from an outage, after which it is given up all the same,
or one read that breaks the API would hold a run for ever.
"""


class Attempts:
    """Counts this analyzer's requests, and knows the newest that brought a completion.

    A failure spends an attempt of a read only if a request that was sent after the read's previous failure brought one: then the
    API works, for others. A read's first failure proves nothing, and in an outage nobody's failures do.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sent = 0
        self._newest_answered = 0

    def sent(self) -> int:
        """The number of a request that is about to leave."""
        self._sent += 1
        return self._sent

    def answered(self, number: int) -> None:
        self._newest_answered = max(self._newest_answered, number)

    def failed(self, job: Job, spends: bool) -> bool:
        """Books a failure. Whether that was the read's last."""
        proven = job.failed_after is not None and self._newest_answered > job.failed_after
        job.setbacks += 1
        job.failed_after = self._sent
        if spends and proven:
            job.failures += 1
        elif spends:
            job.unproven += 1
        return job.failures >= self._most or job.unproven >= UNPROVEN * self._most
