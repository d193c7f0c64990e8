"""Adds the ledger up a second time, entry by entry, and compares: what was written down must be what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from helix_ray.emulator.ledger import Entry, Ledger


class Audit:
    """Reads each entry of a ledger once, whenever `problems` is asked for, or before entries are forgotten."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._read = 0
        self._bill = Decimal(0)
        self._tokens: Counter[str] = Counter()
        self._by_status: Counter[int] = Counter()
        self._charged: Counter[tuple[str, str]] = Counter()

    def catch_up(self) -> None:
        entries = self._ledger.entries
        self._add(entries.since(self._read))
        self._read = entries.total

    def _add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._by_status[entry.status] += 1
            if entry.charged and entry.model is not None and entry.service_tier is not None:
                self._bill += entry.billed_usd
                self._tokens["charged"] += entry.charged
                self._tokens["prompt"] += entry.prompt_tokens
                self._tokens["cached"] += entry.cached_tokens
                self._tokens["completion"] += entry.completion_tokens
                self._charged[entry.model, entry.service_tier] += entry.charged
            elif entry.billed_usd:
                self._tokens["billed without being served"] += 1

    def problems(self, settled_tokens: Mapping[tuple[str, str], int]) -> list[str]:
        """``settled_tokens``: what the buckets of each model and tier say was taken from them for good."""
        self.catch_up()
        ledger = self._ledger
        counted = {"charged": ledger.charged_tokens, "prompt": ledger.prompt_tokens, "cached": ledger.cached_tokens}
        counted["completion"] = ledger.completion_tokens
        found = [
            f"{name} tokens: entries {self._tokens[name]}, total {total}" for name, total in counted.items() if self._tokens[name] != total
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
