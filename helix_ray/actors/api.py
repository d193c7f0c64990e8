"""What each kind of actor answers to, and the address under which the others find it.

Calls name a method of these classes, never a string, so mypy checks the receiver, the method, its arguments and the reply:
``await peers.call(QUEUE, QueueApi.ack, [7])``. Every method may be called again with the same arguments. It is imported
by clients that must not import Ray or an engine, hence no import of theirs at run time.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from helix_ray.environment.logs import Event, begin_log, event_logger

if TYPE_CHECKING:
    from decimal import Decimal

    from helix_ray.analyzer.ports import DrainReply
    from helix_ray.environment.logs import RunLog
    from helix_ray.environment.secrets import Secret
    from helix_ray.metrics.recent import RecentRead
    from helix_ray.metrics.reports import AnalyzerReport, ProcessReport, ProducerReport, Report, SinkReport
    from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot, RunInfo
    from helix_ray.queueing.messages import DoneReply, LeaseReply, PutReply, QueueStats
    from helix_ray.queueing.ranges import IndexRanges
    from helix_ray.records import Ack, AnalyzerEnd, ApiCall, Command, DesiredState, Intent, PastUse, ReadBatch, ReadResult, Receipt, Refused
    from helix_ray.sink.engine import WriteReply
    from helix_ray.throttle.messages import AcquireReply, Exchange, ThrottleStats

log = event_logger(__name__)

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


class Address(str, Generic[A_co]):
    """The name of an actor in the Ray namespace, whose methods are those of ``A_co``."""

    __slots__ = ()


def remote(handle: Any, method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Any:
    """Starts this method on the actor of a Ray handle; the reference of its reply."""
    return getattr(handle, method.__name__).remote(*args, **kwargs)


def begin_incarnation(name: str, run_log: RunLog | None) -> str:
    """What tells this actor from the one that had its name before; it logs under it. Raises nothing, since constructors must not."""
    incarnation = uuid.uuid4().hex[:12]
    if run_log is not None and run_log.driver_node is not None:
        from helix_ray.actors.nodes import home_elsewhere  # noqa: PLC0415  (imports Ray, see above)

        run_log = replace(run_log, home=home_elsewhere(run_log.driver_node) or run_log.home)
    if run_log is not None:
        before = [*run_log.folder.glob(f"{name}-{'?' * len(incarnation)}.jsonl")]
        begin_log(run_log, name, incarnation)
        log.info(Event.ACTOR_STARTED, pid=os.getpid(), starts=len(before) + 1)
    return incarnation


class ActorApi(Protocol):
    async def ping(self) -> str:
        """The incarnation: another one means that the actor started again, empty. Raises what ended a background task."""


class QueueApi(ActorApi, Protocol):
    async def open(self, done: IndexRanges, producers: int) -> str:
        """Starts the flow. ``done``: what is in the ledger; ``producers``: how many will call `finish_input`. The incarnation."""

    async def put(self, producer: int, batch: ReadBatch, wait_s: float = 2.0) -> PutReply:
        """Blocks up to ``wait_s`` while the queue is full. ``producer`` only names the caller."""

    async def done_ranges(self) -> DoneReply: ...

    async def finish_input(self, producer: int, total_reads: int | None, incarnation: str | None = None) -> str:
        """The producer has offered all its reads to the queue of this incarnation; another one has not seen them. Its own."""

    async def lease(self, holder: str, max_reads: int, wait_s: float = 2.0, received: str | None = None) -> LeaseReply:
        """Up to ``max_reads`` reads as soon as there is one, waiting up to ``wait_s`` for it. A holder makes one call at a time.

        ``received``: the lease that the holder received last; what it was granted since then is taken back.
        """

    async def extend(self, holder: str, lease_ids: list[str]) -> list[str]:
        """The holder's heartbeat; returns the leases that it does not hold any more."""

    async def nack(self, holder: str, lease_id: str, fence: int, read_indices: list[int]) -> None:
        """Hands reads back unanswered; they are leased again before any other."""

    async def ack(self, read_indices: list[int]) -> int:
        """From the sink, after its commit. Returns how many were not known to be done."""

    async def release(self, holder: str) -> int:
        """Frees the leases of a holder that died, and answers its calls that still wait with nothing. Returns how many reads."""

    async def close_input(self) -> None:
        """No put is taken any more; what is inside may still be leased."""

    async def close_leases(self) -> None:
        """Nothing is leased any more; what is inside stays, to be counted and resumed."""

    async def stats(self) -> QueueStats: ...


class ThrottleApi(ActorApi, Protocol):
    async def start(self) -> str:
        """Starts the heartbeat, once. The incarnation. `restore` and the first `exchange` do it too, after a restart for instance."""

    async def exchange(self, holder: str, told: Exchange, wait_s: float = 2.0) -> AcquireReply:
        """Takes what the holder tells at once. If it asks for permits, waits up to ``wait_s`` until at least one request is granted or
        refused, and returns all that is decided by then.
        """

    async def release(self, holder: str) -> None:
        """Drops the requests of a holder that died; its permits count as sent and billed, but those leased ahead that are not on record."""

    async def restore(
        self,
        spent_usd: Decimal,
        past: Sequence[PastUse] | None = (),
        provisional: bool = False,
        only: str = "",
        limits: Mapping[str, float] | None = None,
    ) -> str:
        """What the run has spent already, according to the ledger; 0 for a new run. Nothing is granted before this call; called
        again, it corrects the money. ``past``: what was taken from the limits of this key and model, None if unknown.
        ``provisional``: permits of a dead throttle count as spent and may still come to nothing. ``only``: the incarnation
        that it is for, any other ignores it. ``limits``: those that its predecessor knew, by bucket. Returns the incarnation.
        """

    async def set_budget(self, max_cost_usd: Decimal) -> None: ...

    async def stop(self, message: str) -> None:
        """The provider refuses for good."""

    async def stats(self) -> ThrottleStats: ...


class SinkApi(ActorApi, Protocol):
    """Until `run` has brought the address of the database, the other methods wait, as they do while the database is away."""

    async def run(self, database_url: Secret) -> str:
        """Claims the run, whose only writer this is, and commits what is written, until `stop`. A refusal of the claim is the
        `stats`' ``fatal_error``.
        """

    async def intend(self, holder: str, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        """Puts answers on record that arrived, and requests that are about to be sent; what it refuses must not be. Returns after
        COMMIT; waits while the database is away. DriverGoneError: nothing may be sent any more.
        """

    async def revoke(self, call_ids: list[str]) -> list[str]:
        """Which of these requests are on record; the others are refused from now on."""

    async def authorise(self, total_usd: Decimal) -> Decimal:
        """Commits what the throttle may have spent or reserved; the total on record, which never falls."""

    async def write(self, holder: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteReply:
        """Returns after COMMIT, the queue gets the acks next; waits while the database is away. ``holder`` only names the caller."""

    async def flush(self) -> None:
        """Returns when everything written is committed and the queue knows."""

    async def stats(self) -> SinkReport: ...

    async def stop(self) -> None:
        """Flushes and closes the connection. Safe twice."""


class ProducerApi(ActorApi, Protocol):
    async def run(self) -> str:
        """Offers until the own reads are all offered ("finished"), the queue is "closed", or control "stopped" it.

        Raises InputError when the source's file cannot be read (any further).
        """

    async def stats(self) -> ProducerReport: ...


class AnalyzerApi(ActorApi, Protocol):
    async def run(self, api_key: Secret | None, package: str | None = None) -> AnalyzerEnd:
        """Analyses until there is nothing more to analyse; returns why. The heartbeat goes on after that.

        ``api_key``: None for a backend without one. MissingSecretError when the backend needs one. ``package``: the hash of the
        package that the run began with; a process that has another one ends itself, so that Ray starts the actor again elsewhere.
        """

    async def drain(self, timeout_s: float) -> DrainReply:
        """Ends requests in flight within ``timeout_s`` seconds, hands other reads back, stores what was answered. Safe twice."""

    async def stats(self) -> AnalyzerReport: ...


class MetricsApi(ActorApi, Protocol):
    async def set_run(self, info: RunInfo) -> None:
        """What is known about the run; called again with ``status`` and ``reason`` at its end."""

    async def report(self, source: str, report: Report, process: ProcessReport, version: int) -> int:
        """Absolute counters since the actor's start. Answers the control version that every producer and analyzer follows."""

    async def add_recent(self, reads: list[RecentRead]) -> None: ...

    async def snapshot(self) -> MetricsSnapshot: ...

    async def history(self, since: float) -> list[HistoryPoint]:
        """Points after ``since`` (Unix seconds): one a second for the last hour, before that one in 30 s for a day."""


class ControlApi(ActorApi, Protocol):
    """Until `run` has brought the address of the database, it counts as a database that is away."""

    async def run(self, database_url: Secret) -> str:
        """Keeps the log of commands, and reports to metrics once a second, until `stop`."""

    async def send(self, command: Command) -> Ack:
        """Never raises for a command that cannot be done: the answer says why not."""

    async def state(self) -> DesiredState:
        """DatabaseLostError after a restart while the database is away: the caller keeps what it has."""

    async def in_effect(self, version: int) -> None:
        """Every producer and analyzer follows ``version``: the commands up to it are in effect."""

    async def stop(self) -> None:
        """Ends `run`, so that Ray does not announce its repetition when the actor is dismissed. Safe twice."""


NAMESPACE = "helix"
"""Unless `ray.namespace` says otherwise. A namespace of a cluster holds one live run."""

METRICS: Address[MetricsApi] = Address("helix-metrics")
CONTROL: Address[ControlApi] = Address("helix-control")
QUEUE: Address[QueueApi] = Address("helix-queue")
THROTTLE: Address[ThrottleApi] = Address("helix-throttle")
SINK: Address[SinkApi] = Address("helix-sink")


def producer(index: int) -> Address[ProducerApi]:
    return Address(f"helix-producer-{index}")


def analyzer(index: int) -> Address[AnalyzerApi]:
    return Address(f"helix-analyzer-{index}")
