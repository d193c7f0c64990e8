"""What the emulator saw, admitted, charged and billed: one entry per request, never changed afterwards."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

MAX_ENTRIES = 500_000  # about 300 MB at 612 bytes measured; older entries then go, offsets and totals stay


class Entry(NamedTuple):
    """One request to the completions endpoint, written when it ended."""

    id: str  # the request id that the client was sent
    time: float  # Unix seconds at arrival
    retry_count: int | None  # the SDK's x-stainless-retry-count; None: header absent
    status: int  # 499: the client left before its answer; it was billed all the same
    limit_kind: str | None  # of a 413 or 429
    requested: int  # tokens: prompt and completion budget
    charged: int  # tokens that count for good against the limits; 0 when not admitted
    billed_usd: Decimal
    client_saw_it: bool
    prompt_tokens: int
    completion_tokens: int
    read_id: str | None  # the opaque id in the prompt
    true_calls: int
    dropped: int
    shifted: int
    hallucinated: int

    def wire(self) -> dict[str, object]:
        return {**self._asdict(), "billed_usd": f"{self.billed_usd:f}"}


class Ledger:
    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._forgotten = 0
        self._billed_reads: set[str] = set()
        self.by_status: Counter[int] = Counter()
        self.by_limit: Counter[str] = Counter()
        self.admitted_tokens = 0
        self.charged_tokens = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.bill_usd = Decimal(0)
        self.repeated_reads = 0
        self.sdk_retries = 0
        self.unseen = 0
        self.answers: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self._forgotten + len(self._entries)

    def append(self, entry: Entry) -> None:
        if len(self._entries) == MAX_ENTRIES:
            del self._entries[: MAX_ENTRIES // 10]
            self._forgotten += MAX_ENTRIES // 10
        self._entries.append(entry)
        self.by_status[entry.status] += 1
        if entry.retry_count:
            self.sdk_retries += 1
        if entry.limit_kind is not None and entry.status == 429:
            self.by_limit[entry.limit_kind] += 1
        if not entry.client_saw_it:
            self.unseen += 1
        if entry.charged:
            self._count_admitted(entry)

    def _count_admitted(self, entry: Entry) -> None:
        self.admitted_tokens += entry.requested
        self.charged_tokens += entry.charged
        self.prompt_tokens += entry.prompt_tokens
        self.completion_tokens += entry.completion_tokens
        self.bill_usd += entry.billed_usd
        if entry.read_id is None:
            return
        if entry.read_id in self._billed_reads:
            self.repeated_reads += 1
        self._billed_reads.add(entry.read_id)
        answers = self.answers
        answers["reads"] += 1
        answers["true_calls"] += entry.true_calls
        answers["dropped"] += entry.dropped
        answers["shifted"] += entry.shifted
        answers["hallucinated"] += entry.hallucinated

    def page(self, offset: int, limit: int) -> dict[str, object]:
        """Entries from ``offset`` (counted from the first ever) on, at most ``limit``."""
        start = max(0, offset - self._forgotten)
        entries = self._entries[start : start + limit]
        return {
            "offset": start + self._forgotten,
            "next_offset": start + self._forgotten + len(entries),
            "total": self.total,
            "forgotten": self._forgotten,
            "entries": [entry.wire() for entry in entries],
        }

    def summary(self) -> dict[str, object]:
        return {
            "requests": {"total": self.total, "by_status": {str(status): count for status, count in sorted(self.by_status.items())}},
            "http_429": {kind: self.by_limit[kind] for kind in ("RPM", "RPD", "TPM", "TPD")},
            "tokens": {
                "admitted": self.admitted_tokens,
                "charged": self.charged_tokens,
                "billed": self.prompt_tokens + self.completion_tokens,
                "prompt": self.prompt_tokens,
                "cached": 0,
                "completion": self.completion_tokens,
            },
            "bill_usd": f"{self.bill_usd:f}",
            "answers": {key: self.answers[key] for key in ("reads", "true_calls", "dropped", "shifted", "hallucinated")},
            "repeated_reads": self.repeated_reads,
            "sdk_retries": self.sdk_retries,
            "client_did_not_see": self.unseen,
        }
