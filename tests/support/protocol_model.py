"""The protocol by which no received answer is paid for again, as a model that is small enough to be searched whole.

Two analyzers ask about three reads through one sink, one database, one queue and one driver. Read 2 gets nothing usable from its
first request and something usable from its repair; requests pack the reads that are there. Crashes of any part, the driver included,
and an outage of the database come between any two steps, as many as the budget allows. A queue that starts again has forgotten every
lease, so its reads have two holders, as after an expiry. The product's own functions decide.

Reads are bits 0 to 2 of a mask. A request is known by what it asks: its reads, and bit 3 for a repair; a set of requests is a mask
of 16 bits. Two requests that ask the same get the same answer, so they need not be told apart.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from helix_ray.storage.send_check import Answer, Facts, Held, is_needed, keep_back

READS = 0b111
NEEDS_REPAIR = 0b100
REPAIR = 0b1100
WAITING, DONE = -1, -2


class Analyzer(NamedTuple):
    """A process. One that dies is followed by its successor at once: a later one would only do less meanwhile."""

    flying: int = 0  # requests that were sent
    spool: int = 0  # requests whose receipt is not confirmed: in memory, on its way, and on disk, which outlives the process
    outbox: int = 0  # reads whose result is not confirmed
    named: int = 0  # requests found unusable for the read that needs a repair: it is to be asked about again


class State(NamedTuple):
    rows: int = 0
    receipts: int = 0  # requests whose receipt the next send check sees: on record, or in the spool of a dead process
    marked: int = 0  # of these: unusable for the read that needs a repair
    buffer: int = 0  # results in the sink's memory
    queue: tuple[int, ...] | None = (WAITING,) * 3  # the holder of each read; None: not told yet what is done
    one: Analyzer = Analyzer()
    two: Analyzer = Analyzer()
    database: bool = True
    driver: bool = True
    crashes: int = 2
    outages: int = 1
    paid: int = 0  # reads with a usable answer that was put on record, or whose receiver died


class Violation(AssertionError):
    """A step broke the protocol."""


class Faults(NamedTuple):
    """Mistakes to plant; the search must find each."""

    no_row_check: bool = False
    no_receipt_check: bool = False
    names_ignored: bool = False
    receipts_lost: bool = False  # confirmed, and not kept
    receipts_deleted_early: bool = False
    no_spool: bool = False
    spool_not_replayed: bool = False
    no_driver_watch: bool = False
    results_forgotten_early: bool = False  # by the analyzer, once the sink has them in memory
    leases_not_released: bool = False


@cache
def bits(mask: int) -> tuple[int, ...]:
    return tuple(index for index in range(16) if mask >> index & 1)


def usable(request: int) -> int:
    """The reads for which the answer of this request holds something."""
    return NEEDS_REPAIR if request == REPAIR else request & ~NEEDS_REPAIR


@cache
def reads_of(requests: int) -> int:
    mask = 0
    for request in bits(requests):
        mask |= request & READS
    return mask


@cache
def paid_for(requests: int) -> int:
    mask = 0
    for request in bits(requests):
        mask |= usable(request)
    return mask


@cache
def check(asked: int, named: int, rows: int, buffer: int, receipts: int, marked: int) -> Held | None:
    answers = {str(it): Answer(bits(it & READS), (2,) if marked >> it & 1 else ()) for it in bits(receipts)}
    return keep_back(bits(asked & READS), [(str(it), 2) for it in bits(named)], Facts(bits(rows), bits(buffer), answers))


@cache
def needed(receipts: int, rows: int) -> int:
    return sum(1 << it for it in bits(receipts) if is_needed(bits(it & READS), bits(rows)))


class Protocol:
    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        """Every step but crashes and outages."""
        for number in (0, 1):
            yield from self._steps_of(s, number, s.two if number else s.one)
        if s.database and s.buffer:
            yield "the sink commits rows", self._rows_committed(s, s.buffer)
            if len(bits(s.buffer)) > 1:
                yield "the sink commits a row", self._rows_committed(s, 1 << bits(s.buffer)[0])
        if not s.database:
            yield "the database is back", s._replace(database=True)
        elif not s.driver:
            yield "the run is resumed", self._resumed(s)
        elif s.queue is None or any(s.rows >> index & 1 and at != DONE for index, at in enumerate(s.queue)):
            yield "the driver says what is done", _informed(s)

    def blows(self, s: State) -> Iterator[tuple[str, State]]:
        if s.outages and s.database:
            yield "the database goes away", s._replace(database=False, outages=s.outages - 1)
        if not s.crashes:
            return
        s = s._replace(crashes=s.crashes - 1)
        for number, a in enumerate((s.one, s.two)):
            yield f"{number} dies", self._died(s, number, a)
            for request in bits(a.flying):
                yield f"{number} dies as it receives {request:04b}", self._died(s, number, a._replace(spool=a.spool | 1 << request))
        yield "the sink dies", s._replace(buffer=0)
        if s.buffer and s.database:
            yield "the sink dies after its commit", self._rows_committed(s, s.buffer)._replace(queue=s.queue, one=s.one, two=s.two)
        if s.queue is not None:
            forgotten = s._replace(queue=None)
            yield "the queue dies", _informed(forgotten) if s.database and s.driver else forgotten
        if s.driver:
            yield "the driver dies", s._replace(driver=False)

    def _steps_of(self, s: State, number: int, a: Analyzer) -> Iterator[tuple[str, State]]:
        if s.database and (s.driver or self.faults.no_driver_watch):
            for asked in self._requests(s, number, a):
                yield f"{number} asks {asked:04b}", self._asked(s, number, asked)
        for request in bits(a.flying):
            yield f"{number} receives {request:04b}", self._received(s, number, a, request)
        if a.outbox & ~s.buffer:
            yield f"{number} hands its results over again", s._replace(buffer=s.buffer | a.outbox)

    @staticmethod
    def _requests(s: State, number: int, a: Analyzer) -> Iterator[int]:
        """About reads that wait in the queue, which it leases for that. A repair goes ahead even if its lease was lost meanwhile."""
        free = sum(1 << index for index, holder in enumerate(s.queue or ()) if holder == WAITING)
        free &= ~(reads_of(a.flying) | a.outbox | (NEEDS_REPAIR if a.named else 0))
        yield from {free, free & 0b011} - {0}
        if a.named:
            yield REPAIR

    def _asked(self, s: State, number: int, asked: int) -> State:
        """The send check, and, if it passes, the send. Receipts that are on their way share its commit: one that comes too late for
        it is as if its answer had arrived later.
        """
        faults = self.faults
        s = self._receipts_committed(s)
        a = s.one if number == 0 else s.two
        named = 0 if faults.names_ignored else a.named
        rows, receipts = 0 if faults.no_row_check else s.rows, 0 if faults.no_receipt_check else s.receipts
        queue = s.queue
        for index in bits(asked & READS):
            queue = _moved(queue, index, number) if queue is not None and queue[index] == WAITING else queue
        held = check(asked, named, rows, s.buffer, receipts, s.marked)
        if held is None:
            self._assert_may_be_sent(s, asked)
            named = a.named & ~s.receipts if asked == REPAIR else a.named
            marked = s.marked | (a.named & s.receipts if asked == REPAIR and not faults.names_ignored else 0)
            flying = a._replace(flying=a.flying | 1 << asked, named=0 if asked == REPAIR else a.named)
            return _with(s._replace(queue=queue, marked=marked), number, flying)
        if 2 in held.done:
            a = a._replace(named=0)
        for _, request in held.answers:
            a = _judged(a, int(request), asked)
        for index in range(3):  # what is neither done nor judged is asked about again: nothing was sent for it
            waits = asked >> index & 1 and not (a.outbox >> index & 1 or (index == 2 and a.named))
            queue = _moved(queue, index, WAITING) if queue is not None and waits and queue[index] == number else queue
        return self._handed(s._replace(queue=queue), number, a)

    @staticmethod
    def _assert_may_be_sent(s: State, asked: int) -> None:
        if not s.driver:
            raise Violation("a request is sent after the driver's death")
        if s.paid & asked:
            raise Violation(f"an answer that was received is paid for again by {asked:04b}")

    def _received(self, s: State, number: int, a: Analyzer, request: int) -> State:
        """The receipt is on disk before anything else happens."""
        bit = 1 << request
        return self._handed(s, number, _judged(a._replace(flying=a.flying & ~bit, spool=a.spool | bit), request, request))

    def _handed(self, s: State, number: int, a: Analyzer) -> State:
        """Its results are on their way to the sink. That they may not get there is a death as it receives."""
        s = s._replace(buffer=s.buffer | a.outbox)
        return _with(s, number, a._replace(outbox=0) if self.faults.results_forgotten_early else a)

    def _died(self, s: State, number: int, a: Analyzer) -> State:
        """Until its receipt is on record, the answer of a process that lives is as good as in flight. Now it must not be lost."""
        faults = self.faults
        left = 0 if faults.no_spool or faults.spool_not_replayed else needed(a.spool, s.rows)
        queue = s.queue
        if queue is not None and not faults.leases_not_released:
            queue = tuple(WAITING if holder == number else holder for holder in queue)
        s = s._replace(receipts=s.receipts | left, queue=queue, paid=s.paid | paid_for(a.spool) | a.outbox)
        return _with(s, number, Analyzer())

    def _resumed(self, s: State) -> State:
        """Every process of the dead driver has ended by now."""
        for number in (0, 1):
            s = self._died(s, number, s.two if number else s.one)
        return s._replace(buffer=0, queue=None, driver=True)

    def _receipts_committed(self, s: State) -> State:
        """Those whose reads all have rows are not kept. Their senders forget them."""
        spools = s.one.spool | s.two.spool
        receipts = s.receipts if self.faults.receipts_lost else s.receipts | needed(spools, s.rows)
        return s._replace(receipts=receipts, paid=s.paid | paid_for(spools), one=s.one._replace(spool=0), two=s.two._replace(spool=0))

    def _rows_committed(self, s: State, batch: int) -> State:
        """And acknowledged. Analyzers forget what they handed over."""
        rows = s.rows | batch
        receipts = needed(s.receipts, rows)
        if self.faults.receipts_deleted_early:
            receipts = sum(1 << it for it in bits(s.receipts) if not it & rows)
        one, two = (a._replace(outbox=a.outbox & ~batch) for a in (s.one, s.two))
        s = s._replace(rows=rows, receipts=receipts, marked=s.marked & receipts, buffer=s.buffer & ~batch, paid=s.paid | rows)
        return s._replace(queue=None if s.queue is None else _done(s.queue, batch), one=one, two=two)


def _judged(a: Analyzer, request: int, asked: int) -> Analyzer:
    """What the reads asked about find in an answer: a result, or a reason for a repair."""
    found = usable(request) & asked
    if found & NEEDS_REPAIR:
        return a._replace(outbox=a.outbox | found, named=0)
    named = a.named
    if request & asked & NEEDS_REPAIR and not a.outbox & NEEDS_REPAIR:
        named |= 1 << request
    return a._replace(outbox=a.outbox | found, named=named)


def _with(s: State, number: int, a: Analyzer) -> State:
    return s._replace(one=a) if number == 0 else s._replace(two=a)


def _moved(queue: tuple[int, ...], index: int, to: int) -> tuple[int, ...]:
    return (*queue[:index], to, *queue[index + 1 :])


def _informed(s: State) -> State:
    return s._replace(queue=_done(s.queue or (WAITING,) * 3, s.rows))


def _done(queue: tuple[int, ...], rows: int) -> tuple[int, ...]:
    return tuple(DONE if rows >> index & 1 else holder for index, holder in enumerate(queue))


def search(faults: Faults = Faults(), crashes: int = 2, outages: int = 1) -> int:  # noqa: B008
    """Visit every state that can be reached; their number. Violation with the shortest way to it, also when a read may never get a row."""
    protocol = Protocol(faults)
    start = State(crashes=crashes, outages=outages)
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    before: dict[State, list[State]] = {}
    level = [start]
    while level:
        following = []
        for state in level:
            try:
                calm = [(name, _sorted(after)) for name, after in protocol.steps(state)]
            except Violation as violation:
                raise Violation(f"{violation}, after: {_way(came_from, state)}") from None
            for _, after in calm:
                before.setdefault(after, []).append(state)
            for name, after in [*calm, *((name, _sorted(after)) for name, after in protocol.blows(state))]:
                if after not in came_from:
                    came_from[after] = (state, name)
                    following.append(after)
        level = following
    saved = [state for state in came_from if state.rows == READS]
    reached = set(saved)
    while saved:
        for state in before.get(saved.pop(), ()):
            if state not in reached:
                reached.add(state)
                saved.append(state)
    lost = next((state for state in came_from if state not in reached), None)
    if lost is not None:
        raise Violation(f"a read is lost, after: {_way(came_from, lost)}")
    return len(came_from)


def _sorted(s: State) -> State:
    """Of two states that differ only by the analyzers' numbers, one."""
    if s.one <= s.two:
        return s
    queue = None if s.queue is None else tuple(1 - holder if holder >= 0 else holder for holder in s.queue)
    return s._replace(one=s.two, two=s.one, queue=queue)


def _way(came_from: dict[State, tuple[State, str] | None], state: State) -> str:
    names: list[str] = []
    while (step := came_from[state]) is not None:
        state, name = step
        names.append(name)
    return ", ".join(reversed(names)) or "nothing"
