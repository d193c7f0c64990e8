"""A list that only grows at its end, and forgets its beginning when it gets too long; read page by page."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

MAX_ENTRIES = 250_000  # older ones then go, offsets and totals stay; about 310 MB in both journals, at 1.26 kB a request measured


class Entry(Protocol):
    def wire(self) -> dict[str, object]: ...


T = TypeVar("T", bound=Entry)


class Journal(Generic[T]):
    def __init__(self) -> None:
        self._entries: list[T] = []
        self._forgotten = 0

    @property
    def total(self) -> int:
        """How many there ever were."""
        return self._forgotten + len(self._entries)

    @property
    def full(self) -> bool:
        """The next entry will make the oldest ones forgotten."""
        return len(self._entries) == MAX_ENTRIES

    def since(self, offset: int) -> list[T]:
        """The entries from ``offset`` on that are not forgotten."""
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
