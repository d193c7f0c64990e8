"""What an analyzer hands to the sink: requests before they are sent, answers as they arrive, then results and API calls. All are kept
until they are committed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from helix_ray.analyzer.ports import SinkPort
from helix_ray.clock import Clock
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import HelixError
from helix_ray.records import ApiCall, Intent, ReadResult, Receipt, Refused
from helix_ray.storage.spool import Spool
from helix_ray.waiting.group_commit import GroupCommit

log = event_logger(__name__)

RETRY_ON = (HelixError, ConnectionError, TimeoutError)
RETRY_S = 1.0
MAX_WRITES = 8
"""Outstanding at once. A write waits for the sink's next commit, so one alone would tie throughput to the commit interval."""
MAX_BYTES = 64 * 1024
"""Of one write, roughly: below Ray's 100 KiB for arguments that travel inline."""
LINGER_S = 0.02

COMPANY_S = 0.03
"""For which requests wait to be put on record together, at a high rate."""

_MANY, _MANY_WITHIN_S = 16, 0.3
_ROW_BYTES = 500


@dataclass(slots=True)
class _Entry:
    intent: Intent
    refused: Refused | None = None


class RequestRecords:
    """Puts requests and answers on record, many at a time with one write outstanding, and measures how long requests wait for it.

    Answers travel with the next request, which mostly follows at once, and by themselves after ``linger_s``. ``spool`` keeps them until
    they are on record; None: only memory does.
    """

    def __init__(self, sink: SinkPort, clock: Clock, spool: Spool | None = None, linger_s: float = LINGER_S) -> None:
        self._sink = sink
        self._commits: GroupCommit[_Entry | None] = GroupCommit(
            self._write, clock, retry_on=RETRY_ON, pause_s=lambda attempt: RETRY_S, linger_s=self._company_s
        )
        self._recent: deque[float] = deque([-inf] * _MANY, _MANY)  # when requests came
        self._received: list[Receipt] = []
        self._lingering: asyncio.Task[None] | None = None
        self._spool = spool
        self._linger_s = linger_s
        self._clock = clock
        self._pending = 0
        self._waited_s = 0.0
        self._noted_at = clock.monotonic()

    async def intend(self, intent: Intent) -> Refused | None:
        """Return when the request is on record, however long that takes; None: it may be sent. Cancelled, it may or may not be on
        record.
        """
        self._note(1)
        self._recent.append(self._clock.monotonic())
        entry = _Entry(intent)
        try:
            await self._commits.commit(entry)
        finally:
            self._note(-1)
        return entry.refused

    def received(self, receipt: Receipt) -> None:
        """Keep an answer: it outlives this process at once, and is on record soon."""
        if self._spool is not None:
            self._spool.keep(receipt)
        self._received.append(receipt)
        if self._lingering is None or self._lingering.done():
            self._lingering = asyncio.create_task(self._linger())

    def _company_s(self) -> float:
        """Requests that come thick and fast wait for company; a single one does not."""
        return COMPANY_S if self._linger_s and self._recent[-1] - self._recent[0] < _MANY_WITHIN_S else 0.0

    async def _linger(self) -> None:
        if self._linger_s:
            await self._clock.sleep(self._linger_s)
        if self._received:
            self._commits.add(None)

    async def _write(self, entries: list[_Entry | None]) -> None:
        intents = {entry.intent.call.call_id: entry for entry in entries if entry is not None}
        receipts, self._received = self._received, []
        if not intents and not receipts:  # another write took them along
            return
        try:
            refused = await self._sink.intend([entry.intent for entry in intents.values()], receipts)
        except BaseException:
            self._received = receipts + self._received
            raise
        for each in refused:
            intents[each.call_id].refused = each
        if self._spool is not None:
            self._spool.forget(receipt.call_id for receipt in receipts)

    @property
    def waited_s(self) -> float:
        """Seconds that requests waited so far, added up, those that still wait included."""
        self._note(0)
        return self._waited_s

    def _note(self, change: int) -> None:
        now = self._clock.monotonic()
        self._waited_s += self._pending * (now - self._noted_at)
        self._noted_at = now
        self._pending += change


class ResultOutbox:
    """Cuts what is added into writes. `run` must be running for anything to move."""

    def __init__(self, sink: SinkPort, clock: Clock, on_commit: Callable[[list[int]], None], linger_s: float = LINGER_S) -> None:
        """``on_commit`` gets the read indices of each write that was committed."""
        self._sink = sink
        self._clock = clock
        self._on_commit = on_commit
        self._linger_s = linger_s
        self._results: deque[ReadResult] = deque()
        self._calls: list[ApiCall] = []
        self._added = asyncio.Event()
        self._saved = asyncio.Event()
        self._saved.set()
        self._writes = asyncio.Semaphore(MAX_WRITES)
        self._pending_calls = 0
        self.unsaved = 0  # results
        self.last_error: str | None = None

    def add(self, item: ReadResult | ApiCall) -> None:
        if isinstance(item, ReadResult):
            self._results.append(item)
            self.unsaved += 1
        else:
            self._calls.append(item)
            self._pending_calls += 1
        self._saved.clear()
        self._added.set()

    async def flush(self) -> None:
        """Return when everything added so far is committed."""
        await self._saved.wait()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._added.wait()
                if self._linger_s:
                    await self._clock.sleep(self._linger_s)
                self._added.clear()
                while self._results or self._calls:
                    await self._writes.acquire()
                    group.create_task(self._write(*self._cut()))

    def _cut(self) -> tuple[list[ReadResult], list[ApiCall]]:
        results: list[ReadResult] = []
        size = 0
        while self._results and size < MAX_BYTES:
            result = self._results.popleft()
            read = result.read
            size += _ROW_BYTES + len(read.ref_seq) + len(read.seq) + len(read.qual or "") + len(result.raw_answer or "")
            results.append(result)
        most = MAX_BYTES // _ROW_BYTES
        calls, self._calls = self._calls[:most], self._calls[most:]
        return results, calls

    async def _write(self, results: list[ReadResult], calls: list[ApiCall]) -> None:
        """Repeat the write until it returns. Idempotent: writing twice changes nothing, losing a paid answer would."""
        while True:
            try:
                await self._sink.write(results, calls)
                break
            except RETRY_ON as error:
                self.last_error = str(error)
                log.warning(Event.ERROR_HANDLED, what="a write is repeated", exc_info=error)
                await self._clock.sleep(RETRY_S)
        self._writes.release()
        self.last_error = None
        self.unsaved -= len(results)
        self._pending_calls -= len(calls)
        if self.unsaved == 0 and self._pending_calls == 0:
            self._saved.set()
        self._on_commit([result.read.read_index for result in results])
