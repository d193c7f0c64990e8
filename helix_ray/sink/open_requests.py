"""Requests that may be on their way: their reads are not asked about by another analyzer until their end is known.

A queue that came back empty leases out reads that a live analyzer has already asked about. Kept in memory only: after a restart of
the sink the answers on record still hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from helix_ray.records import ApiCall


class OpenRequests:
    """A holder is ``NAME@INCARNATION`` of an analyzer: a new incarnation shows that the requests of the one before have no receiver."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[str, list[int]]] = {}  # call id -> holder, read indices
        self._newest: dict[int, str] = {}  # read index -> the call id of its newest request
        self._incarnations: dict[str, str] = {}  # name -> its newest holder
        self._replaced: set[str] = set()  # former holders: a call of theirs may come late

    def seen(self, holder: str) -> None:
        """It is alive, so earlier incarnations of its name are not."""
        name = holder.partition("@")[0]
        before = self._incarnations.get(name)
        if before != holder and holder not in self._replaced:
            self._replaced.add(before or "")
            self._incarnations[name] = holder
            self.end([call_id for call_id, (other, _) in self._calls.items() if other == before])

    def begin(self, holder: str, call: ApiCall) -> list[int]:
        """The request's reads that another holder has asked about, or may when this one was replaced; empty: it is open from now on."""
        if holder in self._replaced:
            return list(call.read_indices)
        taken = [index for index in call.read_indices if index in self._newest and self._calls[self._newest[index]][0] != holder]
        if not taken:
            self._calls[call.call_id] = (holder, call.read_indices)
            self._newest.update(dict.fromkeys(call.read_indices, call.call_id))
        return taken

    def end(self, call_ids: Iterable[str]) -> None:
        """Their end is on its way to the record, or they were never sent."""
        for call_id in call_ids:
            _, reads = self._calls.pop(call_id, ("", []))
            for index in reads:
                if self._newest.get(index) == call_id:
                    del self._newest[index]
