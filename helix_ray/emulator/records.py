"""The ledger: one immutable entry per request and one per billed read, their sums, and an audit that adds them up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from helix_ray.emulator.published import WINDOW_S
from helix_ray.emulator.scripted_model import ScriptedAnswer

MAX_ENTRIES = 50_000  # older ones are dropped, offsets and totals stay; about 63 MB in both journals (1.26 kB a request, measured)
_CALL_COUNTS = ("true_calls", "dropped", "shifted", "hallucinated")


class RequestEntry(NamedTuple):
    """One request to the completions endpoint, written when it ended."""

    id: str  # the request id that the client was sent
    time: float  # Unix seconds at arrival
    retry_count: int | None  # the SDK's x-stainless-retry-count; None: header absent
    status: int  # of the answer, also of a lost one; 499: the client left before it, and was billed; 0: the connection was closed
    limit_kind: str | None  # of a 413 or 429
    requested: int  # tokens: prompt and completion budget
    charged: int  # tokens that count for good against the limits; 0 when not admitted
    billed_usd: Decimal
    client_saw_it: bool
    prompt_tokens: int
    cached_tokens: int  # of the prompt
    completion_tokens: int
    fault: str | None  # what was done to the request or its answer on purpose; several joined by +
    read_ids: list[str]  # the opaque ids in the prompt
    true_calls: int  # this and the next three: of all its reads
    dropped: int
    shifted: int
    hallucinated: int
    model: str | None  # None: refused before it was known
    service_tier: str | None  # that served it, or that it asked for
    ended: float  # Unix seconds: when its answer went out, or its client was found gone

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
            **{name: getattr(answer, name) for name in _CALL_COUNTS},
            "fault": self.fault,
            "calls": [call for call, _ in answer.calls] if self.usable else None,
        }


T = TypeVar("T", RequestEntry, ReadEntry)


class Journal(Generic[T]):
    """A list that grows at its end and forgets its beginning beyond MAX_ENTRIES; read page by page."""

    def __init__(self) -> None:
        self._entries: list[T] = []
        self._forgotten = 0

    @property
    def total(self) -> int:
        """Entries ever written, dropped ones included."""
        return self._forgotten + len(self._entries)

    @property
    def full(self) -> bool:
        """The next entry drops the oldest ones."""
        return len(self._entries) == MAX_ENTRIES

    def since(self, offset: int) -> list[T]:
        """The entries from ``offset`` on that are not dropped."""
        return self._entries[max(0, offset - self._forgotten) :]

    def append(self, entry: T) -> None:
        if self.full:
            del self._entries[: MAX_ENTRIES // 10]
            self._forgotten += MAX_ENTRIES // 10
        self._entries.append(entry)

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


def totals(answers: list[ScriptedAnswer]) -> tuple[int, int, int, int]:
    """True, dropped, shifted and hallucinated calls of a request, as its entry names them."""
    true_calls, dropped, shifted, hallucinated = (sum(getattr(answer, name) for answer in answers) for name in _CALL_COUNTS)
    return true_calls, dropped, shifted, hallucinated


class Ledger:
    """All entries and their sums."""

    def __init__(self) -> None:
        self.entries: Journal[RequestEntry] = Journal()
        self.reads: Journal[ReadEntry] = Journal()
        self._billed_reads: set[str] = set()  # the newest ones, MAX_ENTRIES at most
        self._billed_before: set[str] = set()  # as many before these; a read that comes again later than that counts as new
        self.by_status: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()  # by status, and kind of limit where there is one
        self.by_fault: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()  # admitted, charged, billed; prompt, cached, completion
        self.bill_usd = Decimal(0)
        self.repeated_reads = self.sdk_retries = self.unseen = 0
        self.answers: Counter[str] = Counter()
        self.audit = Audit(self)

    def append(self, entry: RequestEntry, reads: list[ReadEntry]) -> None:
        """``reads``: those of a billed request that could be parsed."""
        if self.entries.full:
            self.audit.catch_up()
        self.entries.append(entry)
        self.by_status[entry.status] += 1
        self.sdk_retries += bool(entry.retry_count)
        self.unseen += not entry.client_saw_it
        if entry.fault is not None:
            self.by_fault.update(entry.fault.split("+"))
        if entry.charged:
            self._count_admitted(entry)
        else:
            self.refused[f"{entry.status} {entry.limit_kind}" if entry.limit_kind else str(entry.status)] += 1
        for read in reads:
            self.reads.append(read)
            self.repeated_reads += read.id in self._billed_reads or read.id in self._billed_before
            self._billed_reads.add(read.id)
            if len(self._billed_reads) == MAX_ENTRIES:
                self._billed_before, self._billed_reads = self._billed_reads, set()

    def _count_admitted(self, entry: RequestEntry) -> None:
        prompt, cached, completion = entry.prompt_tokens, entry.cached_tokens, entry.completion_tokens
        self.tokens.update(admitted=entry.requested, charged=entry.charged, billed=prompt + completion)
        self.tokens.update(prompt=prompt, cached=cached, completion=completion)
        self.bill_usd += entry.billed_usd
        self.answers["reads"] += len(entry.read_ids)
        for name in _CALL_COUNTS:
            self.answers[name] += getattr(entry, name)

    def summary(self) -> dict[str, object]:
        return {
            "requests": {"total": self.entries.total, "by_status": {str(key): self.by_status[key] for key in sorted(self.by_status)}},
            "http_429": {kind: self.refused[f"429 {kind}"] for kind in WINDOW_S},
            "refused": {"total": self.refused.total(), "by_kind": dict(sorted(self.refused.items()))},
            "tokens": {name: self.tokens[name] for name in ("admitted", "charged", "billed", "prompt", "cached", "completion")},
            "bill_usd": f"{self.bill_usd:f}",
            "answers": {key: self.answers[key] for key in ("reads", *_CALL_COUNTS)},
            "faults": dict(sorted(self.by_fault.items())),
            "repeated_reads": self.repeated_reads,
            "sdk_retries": self.sdk_retries,
            "client_did_not_see": self.unseen,
        }


class Audit:
    """Adds the ledger up entry by entry, each once, and compares the sums: what was written must be what was counted."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._read = 0
        self._bill = Decimal(0)
        self._tokens: Counter[str] = Counter()
        self._by_status: Counter[int] = Counter()
        self._charged: Counter[tuple[str, str]] = Counter()

    def catch_up(self) -> None:
        entries = self._ledger.entries
        for entry in entries.since(self._read):
            self._by_status[entry.status] += 1
            if entry.charged and entry.model is not None and entry.service_tier is not None:
                self._bill += entry.billed_usd
                self._tokens["charged"] += entry.charged
                self._tokens.update(prompt=entry.prompt_tokens, cached=entry.cached_tokens, completion=entry.completion_tokens)
                self._charged[entry.model, entry.service_tier] += entry.charged
            elif entry.billed_usd:
                self._tokens["billed without being served"] += 1
        self._read = entries.total

    def problems(self, settled_tokens: Mapping[tuple[str, str], int]) -> list[str]:
        """``settled_tokens``: what the buckets of each model and tier say was taken from them for good."""
        self.catch_up()
        ledger = self._ledger
        found = [
            f"{name} tokens: entries {self._tokens[name]}, total {ledger.tokens[name]}"
            for name in ("charged", "prompt", "cached", "completion")
            if self._tokens[name] != ledger.tokens[name]
        ]
        if self._tokens["billed without being served"]:
            found.append(f"{self._tokens['billed without being served']} requests were billed that were not served")
        if self._bill != ledger.bill_usd:
            found.append(f"bill: entries {self._bill}, total {ledger.bill_usd}")
        if self._by_status != ledger.by_status:
            found.append(f"requests by status: entries {dict(self._by_status)}, total {dict(ledger.by_status)}")
        for key, settled in settled_tokens.items():
            if self._charged[key] != settled:
                found.append(f"{' '.join(key)}: entries charge {self._charged[key]} tokens, the bucket settled {settled}")
        return found
