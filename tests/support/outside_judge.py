"""Judges a run from outside: by the source's manifest, the ledger of an emulator apart from the run, SQL and /proc.

Nothing here imports the product, so a fault in it cannot hide itself. Times are Unix seconds of this machine.
"""

from __future__ import annotations

import json
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import psutil
import psycopg

RECEIVED_S = 1.0
"""A body that was sent this long before a fault was received before it; a later one counts as in flight."""
LATE_S = 0.2
"""What arrives this long after the death of the driver was sent after it."""
CENT = Decimal("0.01")
ROWS = "select read_id, ref_seq, seq, disposition = 'stored' and raw_answer is not null from helix.reads where run_id = %s"
CALLS = "select state, cost_usd, provider_request_id from helix.api_calls where run_id = %s"


class Ask(NamedTuple):
    """One read of one billed request."""

    read: str  # the opaque id in the prompt
    arrived: float
    ended: float  # its answer went out, or its client was found gone
    usable: bool  # the client was sent a whole answer with this read in it


class Fault(NamedTuple):
    began: float
    ended: float  # as began for a kill
    struck: str = ""  # the kind of process


class Pair(NamedTuple):
    """A read of the source."""

    window: str
    read: str


def repaid(asks: Iterable[Ask], faults: Sequence[Fault]) -> Counter[tuple[str, str]]:
    """Every ask of a read after its first, by what was known before the fault that came last before it, and by what that struck.

    ``received``: a usable answer had gone out at least RECEIVED_S before the fault. ``needless``: an answer to a request sent after
    the fault, or without any fault, had gone out before the read was asked again. ``in_flight``: the rest, which a crash may cost.
    """
    by_read: defaultdict[str, list[Ask]] = defaultdict(list)
    for ask in sorted(asks, key=lambda ask: ask.arrived):
        by_read[ask.read].append(ask)
    return Counter(_kind(asked[:number], again, faults) for asked in by_read.values() for number, again in enumerate(asked) if number)


def _kind(earlier: list[Ask], again: Ask, faults: Sequence[Fault]) -> tuple[str, str]:
    fault = max((fault for fault in faults if fault.began <= again.arrived), default=None)
    answered = [ask for ask in earlier if ask.usable and ask.ended <= again.arrived]
    struck = "" if fault is None else fault.struck
    if fault is not None and any(ask.ended <= fault.began - RECEIVED_S for ask in answered):
        return "received", struck
    return "needless" if any(fault is None or ask.arrived > fault.ended for ask in answered) else "in_flight", struck


@dataclass
class Verdict:
    """What one run, or all runs of a scenario, came to."""

    scenario: str
    hits: int = 0  # faults that found the pipeline as busy as the scenario asks
    lost: int = 0  # reads of the manifest without a row
    doubled: int = 0  # rows of a read beyond its first
    wrong: int = 0  # rows that differ from the manifest, or hold no answer
    received: int = 0
    needless: int = 0
    in_flight: int = 0
    in_flight_of: Counter[str] = field(default_factory=Counter)  # by what was struck
    late: int = 0  # requests after the driver's death
    left: int = 0  # processes, 10 s after each death of the driver and after the end
    bill: Decimal = Decimal(0)  # the provider's
    books: Decimal = Decimal(0)  # the run's, what it cannot know at its worst case
    misbooked: int = 0  # answered calls whose cost is not what was billed for them
    exits: Counter[int] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Verdict) -> None:
        for name, value in vars(other).items():
            if name != "scenario":
                setattr(self, name, getattr(self, name) + value)

    def broken(self, allowed_exits: set[int]) -> list[str]:
        """The promises that do not hold."""
        zeros = ("lost", "doubled", "wrong", "received", "needless", "late", "left", "misbooked")
        found = [f"{name} {getattr(self, name)}" for name in zeros if getattr(self, name)]
        found += [f"exit {code}" for code in self.exits if code not in allowed_exits]
        return found + ([f"bill {self.bill} above the books {self.books}"] if self.bill > self.books + CENT else [])


COLUMNS = ("hits", "lost", "doubled", "wrong", "received", "needless", "in_flight", "late", "left", "misbooked")


def table(verdicts: Iterable[Verdict]) -> str:
    """Markdown. Paid again: received, needless, in_flight."""
    head = ("scenario", *COLUMNS, "in flight of", "exits", "bill / books $", "notes")
    rows = [
        (verdict.scenario, *(getattr(verdict, name) for name in COLUMNS), _counted(verdict.in_flight_of) or "-",
         _counted(verdict.exits), f"{verdict.bill:.4f} / {verdict.books:.4f}", _counted(verdict.notes) or "-")
        for verdict in verdicts
    ]  # fmt: skip
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows))


def _counted(counts: Counter[Any]) -> str:
    return ", ".join(f"{key} x{count}" for key, count in sorted(counts.items()))


class Provider:
    """The emulator's control plane."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._seen: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)  # by path; an entry never changes

    def in_flight(self) -> int:
        return int(self._get("/_ctl/summary")["in_flight"])

    def set(self, **changes: object) -> None:
        request = urllib.request.Request(f"{self.url}/_ctl/set", json.dumps(changes).encode(), method="POST")
        urllib.request.urlopen(request, timeout=30).read()

    def requests(self) -> list[dict[str, Any]]:
        return self._all("/_ctl/ledger")

    def asks(self) -> list[Ask]:
        requests = {entry["id"]: entry for entry in self.requests()}
        return [
            Ask(read["id"], request["time"], request["ended"], bool(read["client_saw_it"]) and read["calls"] is not None)
            for read in self._all("/_ctl/reads")
            if (request := requests.get(read["request_id"]))  # else it ended since
        ]

    def _all(self, path: str) -> list[dict[str, Any]]:
        entries = self._seen[path]
        while True:
            page = self._get(f"{path}?offset={len(entries)}&limit=10000")
            assert not page["forgotten"], "the emulator's ledger is longer than it remembers; judge fewer reads at once"
            entries += page["entries"]
            if not page["entries"]:
                return entries

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as reply:
            return json.load(reply)


def judge(
    verdict: Verdict, manifest: Mapping[str, Pair], provider: Provider, faults: Sequence[Fault], database_url: str, run_id: str | None
) -> None:
    """A run that never came on record (None) has lost everything and booked nothing."""
    with psycopg.connect(database_url) as connection:
        rows, calls = (connection.execute(query, [run_id]).fetchall() if run_id else [] for query in (ROWS, CALLS))
    times = Counter(read_id for read_id, *_ in rows)
    verdict.lost = len(manifest.keys() - times.keys())
    verdict.doubled = len(rows) - len(times)
    verdict.wrong = sum(manifest.get(read_id) != (window, read) or not answered for read_id, window, read, answered in rows)
    for (kind, struck), count in repaid(provider.asks(), faults).items():
        setattr(verdict, kind, getattr(verdict, kind) + count)
        if kind == "in_flight":
            verdict.in_flight_of[struck] += count
    billed = {entry["id"]: Decimal(entry["billed_usd"]) for entry in provider.requests()}
    verdict.bill = sum(billed.values(), Decimal(0))
    verdict.books = sum((cost for _, cost, _ in calls), Decimal(0))
    verdict.misbooked = sum(cost != billed.get(request_id) for state, cost, request_id in calls if state == "answered")


def late_sends(requests: Iterable[Mapping[str, Any]], died: float, resumed: float) -> int:
    return sum(died + LATE_S < entry["time"] < resumed for entry in requests)


Processes = set[tuple[int, float]]
"""Process ids, each with its start time: ids are used again."""


def family(pid: int, home: str) -> Processes:
    """The process, its descendants, and every process whose environment names this HELIX_HOME."""
    root = psutil.Process(pid)
    tree = {process.pid for process in (root, *root.children(recursive=True))}
    return {
        (process.pid, process.info["create_time"])
        for process in psutil.process_iter(["create_time", "environ"])
        if process.pid in tree or (process.info["environ"] or {}).get("HELIX_HOME") == home
    }


def alive(processes: Processes) -> list[psutil.Process]:
    """Those that still run."""
    return [
        process
        for process in psutil.process_iter(["create_time", "status"])
        if (process.pid, process.info["create_time"]) in processes and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
