"""What the emulator saw, admitted, charged, billed and answered: one entry per request and one per billed read, never changed
afterwards.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from helix_ray.emulator.journal import Journal
from helix_ray.emulator.scripted_model import ScriptedAnswer
from helix_ray.emulator.windows import KINDS


class Entry(NamedTuple):
    """One request to the completions endpoint, written when it ended."""

    id: str  # the request id that the client was sent
    time: float  # Unix seconds at arrival
    retry_count: int | None  # the SDK's x-stainless-retry-count; None: header absent
    status: int  # of the answer, also of one that was lost on its way; 499: the client left before it, and was billed all the same
    limit_kind: str | None  # of a 413 or 429
    requested: int  # tokens: prompt and completion budget
    charged: int  # tokens that count for good against the limits; 0 when not admitted
    billed_usd: Decimal
    client_saw_it: bool
    prompt_tokens: int
    completion_tokens: int
    fault: str | None  # what was done to the request or its answer on purpose; several joined by +
    read_ids: list[str]  # the opaque ids in the prompt
    true_calls: int  # this and the next three: of all its reads
    dropped: int
    shifted: int
    hallucinated: int
    model: str | None  # None: refused before it was known
    service_tier: str | None  # that served it, or that it asked for
    cached_tokens: int  # of the prompt, from the cache

    def wire(self) -> dict[str, object]:
        return {**self._asdict(), "billed_usd": f"{self.billed_usd:f}"}


class ReadEntry(NamedTuple):
    """One read of a billed request. A read that was asked twice has two."""

    request_id: str
    client_saw_it: bool
    id: str  # the opaque id in the prompt
    answer: ScriptedAnswer
    fault: str | None  # what hit this read's own part of the answer; several joined by +
    usable: bool

    def wire(self) -> dict[str, object]:
        answer = self.answer
        return {
            "id": self.id,
            "request_id": self.request_id,
            "client_saw_it": self.client_saw_it,
            "true_calls": answer.true_calls,
            "dropped": answer.dropped,
            "shifted": answer.shifted,
            "hallucinated": answer.hallucinated,
            "fault": self.fault,
            "calls": [call for call, _ in answer.calls] if self.usable else None,
        }


def totals(answers: list[ScriptedAnswer]) -> tuple[int, int, int, int]:
    """True, dropped, shifted and hallucinated calls of a request, as its entry names them."""
    if len(answers) == 1:
        (answer,) = answers
        return answer.true_calls, answer.dropped, answer.shifted, answer.hallucinated
    return (
        sum(answer.true_calls for answer in answers),
        sum(answer.dropped for answer in answers),
        sum(answer.shifted for answer in answers),
        sum(answer.hallucinated for answer in answers),
    )


class Ledger:
    def __init__(self) -> None:
        self.entries: Journal[Entry] = Journal()
        self.reads: Journal[ReadEntry] = Journal()
        self._billed_reads: set[str] = set()
        self.by_status: Counter[int] = Counter()
        self.by_limit: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()  # by status, and kind of limit where there is one
        self.by_fault: Counter[str] = Counter()
        self.admitted_tokens = 0
        self.charged_tokens = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0
        self.bill_usd = Decimal(0)
        self.repeated_reads = 0
        self.sdk_retries = 0
        self.unseen = 0
        self.answers: Counter[str] = Counter()

    def append(self, entry: Entry, reads: list[ReadEntry]) -> None:
        """``reads``: those of a billed request that could be parsed."""
        self.entries.append(entry)
        self.by_status[entry.status] += 1
        if entry.retry_count:
            self.sdk_retries += 1
        if entry.limit_kind is not None and entry.status == 429:
            self.by_limit[entry.limit_kind] += 1
        if entry.status >= 400 and entry.status != 499:
            self.refused[f"{entry.status} {entry.limit_kind}" if entry.limit_kind else str(entry.status)] += 1
        if entry.fault is not None:
            self.by_fault.update(entry.fault.split("+"))
        if not entry.client_saw_it:
            self.unseen += 1
        if entry.charged:
            self._count_admitted(entry)
        for read in reads:
            self._count_read(read)

    def _count_admitted(self, entry: Entry) -> None:
        self.admitted_tokens += entry.requested
        self.charged_tokens += entry.charged
        self.prompt_tokens += entry.prompt_tokens
        self.cached_tokens += entry.cached_tokens
        self.completion_tokens += entry.completion_tokens
        self.bill_usd += entry.billed_usd
        if entry.read_ids:
            answers = self.answers
            answers["reads"] += len(entry.read_ids)
            answers["true_calls"] += entry.true_calls
            answers["dropped"] += entry.dropped
            answers["shifted"] += entry.shifted
            answers["hallucinated"] += entry.hallucinated

    def _count_read(self, read: ReadEntry) -> None:
        self.reads.append(read)
        if read.id in self._billed_reads:
            self.repeated_reads += 1
        self._billed_reads.add(read.id)

    def summary(self) -> dict[str, object]:
        return {
            "requests": {
                "total": self.entries.total,
                "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
            },
            "http_429": {kind: self.by_limit[kind] for kind in KINDS},
            "refused": {"total": self.refused.total(), "by_kind": dict(sorted(self.refused.items()))},
            "tokens": {
                "admitted": self.admitted_tokens,
                "charged": self.charged_tokens,
                "billed": self.prompt_tokens + self.completion_tokens,
                "prompt": self.prompt_tokens,
                "cached": self.cached_tokens,
                "completion": self.completion_tokens,
            },
            "bill_usd": f"{self.bill_usd:f}",
            "answers": {key: self.answers[key] for key in ("reads", "true_calls", "dropped", "shifted", "hallucinated")},
            "faults": dict(sorted(self.by_fault.items())),
            "repeated_reads": self.repeated_reads,
            "sdk_retries": self.sdk_retries,
            "client_did_not_see": self.unseen,
        }
