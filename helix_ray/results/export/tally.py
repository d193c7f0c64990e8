"""What an export holds, counted while it is written."""

from __future__ import annotations

from collections import Counter

from helix_ray.records import JsonObject, Read, ReadResult


class Tally:
    """Counts of reads and of their true variants."""

    def __init__(self) -> None:
        self._reads: Counter[str] = Counter()
        self._per_read: Counter[int] = Counter()
        self._types: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._titv: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def left_out(self, read: Read) -> None:
        """A read that no file holds, since it is not as its source gave it."""
        self._left_out["unknown" if read.disposition is None else read.disposition.value] += 1

    def add(self, read: Read) -> None:
        reads = self._reads
        reads["reads"] += 1
        reads["bases"] += len(read.seq)
        reads["without_qualities"] += read.qual is None
        reads["sequencing_errors"] += len(read.errors or ())
        if read.truth is None:
            return
        reads["with_known_truth"] += 1
        reads["identifiable"] += bool(read.identifiable)
        reads["variants"] += len(read.truth)
        self._per_read[len(read.truth)] += 1
        for variant in read.truth:
            self._types[variant.type] += 1
            self._events[variant.event] += 1
            if variant.event == "snv" and variant.titv is not None:  # an inversion of two bases can be an SNV, always a tv
                self._titv[variant.titv] += 1

    @property
    def reads(self) -> int:
        return self._reads["reads"]

    def to_json(self) -> JsonObject:
        names = ("reads", "bases", "without_qualities", "with_known_truth", "identifiable", "variants", "sequencing_errors")
        return {
            **{name: self._reads[name] for name in names},
            "variants_per_read": {str(count): self._per_read[count] for count in sorted(self._per_read)},
            "by_type": dict(sorted(self._types.items())),
            "by_event": dict(sorted(self._events.items())),
            "titv": dict(sorted(self._titv.items())),
            "left_out": dict(sorted(self._left_out.items())),
        }


class ResultTally:
    """Counts of what became of the reads."""

    def __init__(self) -> None:
        self._endings: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    def add(self, result: ReadResult) -> None:
        self._endings[result.disposition.value] += 1
        self._calls.update(row.outcome or "unknown" for row in result.variants if row.side == "call")

    @property
    def reads(self) -> int:
        return self._endings.total()

    def to_json(self) -> JsonObject:
        """``calls_by_outcome``: all but ``ok`` are in no VCF."""
        return {
            "reads": self.reads,
            "by_disposition": dict(sorted(self._endings.items())),
            "calls_by_outcome": dict(sorted(self._calls.items())),
        }
