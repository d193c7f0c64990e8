"""Any order of puts, leases, returns, deaths and acknowledgements: nothing lost, nothing twice, the bound holds."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helix_ray.queueing.bounded_queue import BlockedPut, BoundedQueue
from helix_ray.queueing.messages import Lease
from helix_ray.queueing.ranges import IndexRanges
from support.list_source import sample_reads

HOLDERS = st.sampled_from(["a", "b", "c"])
TOTAL = 60
TIMEOUT_S = 10.0


class QueueMachine(RuleBasedStateMachine):
    """The model: which reads were admitted, which acknowledged, and who was handed what."""

    @initialize(capacity=st.integers(1, 20), data=st.data())
    def start(self, capacity: int, data: st.DataObject) -> None:
        low = data.draw(st.integers(0, capacity - 1))
        self.capacity = capacity
        self.now = 100.0
        self.queue = BoundedQueue(capacity, low, TIMEOUT_S, "incarnation")
        done = data.draw(st.lists(st.integers(0, TOTAL - 1), max_size=5))
        self.queue.open(IndexRanges((index, index + 1) for index in done), 1)
        self.done = set(done)
        self.inside: set[int] = set()
        self.leases: list[tuple[str, Lease]] = []
        self.received: dict[str, str] = {}  # by holder, its newest
        self.ghosts: dict[str, list[str]] = {}  # by holder: leases whose reply it did not get
        self.line: list[BlockedPut] = []
        self.fence = 0

    def _enter(self, offered: list[int]) -> None:
        self.inside |= {index for index in offered if index not in self.done}

    @rule(start=st.integers(0, TOTAL - 1), count=st.integers(1, 25))
    def put(self, start: int, count: int) -> None:
        reads = sample_reads(min(count, TOTAL - start), start)
        before = self.queue.stats(self.now)
        admitted, rest = self.queue.offer(reads, self.now)
        left = {read.read_index for read in rest}
        entered = {read.read_index for read in reads} - left - self.done - self.inside
        assert len(entered) == admitted
        assert not left & (self.inside | self.done)
        self.inside |= entered
        if admitted:
            assert before.waiting + before.redelivered + admitted <= self.capacity
        if rest:
            self.line.append(self.queue.line.join(rest, admitted, self.now))

    @rule()
    def serve(self) -> None:
        asked = {put: [read.read_index for read in put.reads] for put in self.line}
        served = self.queue.serve_line(self.now)
        assert served == self.line[: len(served)], "first come, first served"
        for put, wanted in asked.items():
            self._enter([index for index in wanted if index not in {read.read_index for read in put.reads}])
        self.line = self.line[len(served) :]

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        put = self.line.pop(data.draw(st.integers(0, len(self.line) - 1)))
        self.queue.line.leave(put, self.now)

    @rule(holder=HOLDERS, max_reads=st.integers(1, 8), arrives=st.booleans())
    def lease(self, holder: str, max_reads: int, arrives: bool) -> None:
        self.queue.asks(holder, self.received.get(holder))
        for ghost in self.ghosts.pop(holder, []):
            assert self.queue.extend(holder, [ghost], self.now) == [ghost]
        before = self.queue.stats(self.now)
        lease = self.queue.lease(holder, max_reads, self.now)
        assert (lease is None) == (before.waiting + before.redelivered == 0)
        if lease is not None:
            assert lease.fence > self.fence
            self.fence = lease.fence
            assert set(lease.batch.read_index) <= self.inside
            assert len(lease.batch.read_index) == min(max_reads, before.waiting + before.redelivered)
            if arrives:
                self.received[holder] = lease.lease_id
                self.leases.append((holder, lease))
            else:
                self.ghosts.setdefault(holder, []).append(lease.lease_id)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), holder=HOLDERS, wrong_fence=st.booleans())
    def nack(self, data: st.DataObject, holder: str, wrong_fence: bool) -> None:
        owner, lease = data.draw(st.sampled_from(self.leases))
        wanted = data.draw(st.lists(st.sampled_from(lease.batch.read_index), max_size=4))
        returned = self.queue.nack(holder, lease.lease_id, lease.fence + wrong_fence, wanted)
        if holder != owner or wrong_fence:
            assert returned == 0

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        owner, lease = data.draw(st.sampled_from(self.leases))
        lost = self.queue.extend(owner, [lease.lease_id], self.now)
        assert lost in ([], [lease.lease_id])

    @rule(indices=st.lists(st.integers(0, TOTAL - 1), max_size=6))
    def ack(self, indices: list[int]) -> None:
        assert self.queue.ack(indices) == len(set(indices) - self.done)
        self.done |= set(indices)
        self.inside -= set(indices)

    @rule(holder=HOLDERS)
    def release(self, holder: str) -> None:
        self.queue.release(holder)
        for owner, lease in self.leases:
            if owner == holder:
                assert self.queue.extend(owner, [lease.lease_id], self.now) == [lease.lease_id]

    @rule(seconds=st.sampled_from([0.1, 1.0, TIMEOUT_S / 2, TIMEOUT_S]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.queue.sweep(self.now)

    @invariant()
    def every_read_is_in_one_place(self) -> None:
        if not hasattr(self, "queue"):
            return
        stats = self.queue.stats(self.now)
        assert self.queue.held == len(self.inside) == stats.waiting + stats.redelivered + stats.leased
        assert stats.admitted == stats.acked + self.queue.held
        assert {index for start, end in self.queue.done_ranges() for index in range(start, end)} == self.done

    @invariant()
    def the_bound_holds(self) -> None:
        if hasattr(self, "queue"):
            stats = self.queue.stats(self.now)
            assert stats.waiting <= stats.max_queue_depth <= self.capacity

    def teardown(self) -> None:
        """Whatever happened, one holder can still drain every read exactly once."""
        if not hasattr(self, "queue"):
            return
        for holder in ("a", "b", "c"):
            self.queue.release(holder)
        seen: list[int] = []
        while (lease := self.queue.lease("last", 7, self.now)) is not None:
            seen.extend(lease.batch.read_index)
            self.queue.ack(lease.batch.read_index)
        assert sorted(seen) == sorted(self.inside)
        self.queue.finish_input(0, TOTAL)
        assert self.queue.exhausted


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=settings.default.max_examples * 3 // 2, stateful_step_count=40, deadline=None)
