"""Every actor of a run: made with the same options, found by name, asked with a deadline.

The classes in this folder are plain; here alone they become Ray actors. All belong to the driver (not detached), restart
without limit and come back empty, so their constructors take plain values and do nothing that can fail.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Generic, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from helix_ray.actors import api
from helix_ray.actors.analyzer import AnalyzerActor
from helix_ray.actors.api import A, ActorApi, Address, P, R
from helix_ray.actors.control import ControlActor
from helix_ray.actors.metrics import MetricsActor
from helix_ray.actors.nodes import Placement
from helix_ray.actors.peers import authorise, raised_by
from helix_ray.actors.producer import ProducerActor
from helix_ray.actors.queue import QueueActor
from helix_ray.actors.sink import SinkActor
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.config import Config
from helix_ray.environment.logs import Event, RunLog, event_logger
from helix_ray.environment.package import package_hash
from helix_ray.environment.processes import Driver
from helix_ray.environment.secrets import Secret
from helix_ray.errors import StartError
from helix_ray.providers.prices import Tariff
from helix_ray.storage.spool import spool_folder

log = event_logger(__name__)

CALL_TIMEOUT_S = 10.0
LOOP_END_S = 0.3  # Ray announces the repetition of a ``run`` that is killed, so one that ends by itself gets the time to

N = TypeVar("N", bound=str)
R_co = TypeVar("R_co", covariant=True)


class FailureKind(Enum):
    UNAVAILABLE = "unavailable"  # the actor is gone or restarting
    TIMEOUT = "timeout"  # no answer yet
    RAISED = "raised"  # its method raised


_LEVELS = {FailureKind.UNAVAILABLE: logging.DEBUG, FailureKind.TIMEOUT: logging.DEBUG, FailureKind.RAISED: logging.WARNING}
"""Actors that are away or slow are told of by those who wait for them."""


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call that gave no answer."""

    kind: FailureKind
    error: BaseException


@dataclass(frozen=True, slots=True)
class Pending(Generic[R_co]):
    """A call under way."""

    reference: Any

    def answer(self) -> R_co | CallFailure:
        """As far as there is one now."""
        try:
            found: R_co = ray.get(self.reference, timeout=0)
        except GetTimeoutError as error:
            return CallFailure(FailureKind.TIMEOUT, error)
        except RayTaskError as error:
            return CallFailure(FailureKind.RAISED, raised_by(error))
        except RayError as error:
            return CallFailure(FailureKind.UNAVAILABLE, error)
        return found

    def value(self) -> R_co | None:
        """The answer; None for a `CallFailure`."""
        answer = self.answer()
        if isinstance(answer, CallFailure):
            log.log(_LEVELS[answer.kind], Event.ERROR_HANDLED, what="a call without an answer", exc_info=answer.error)
            return None
        return answer


def wait_for(calls: Iterable[Pending[object]], timeout_s: float) -> None:
    """Returns when all have ended, ``timeout_s`` seconds later at the latest."""
    references = [call.reference for call in calls]
    if references:
        ray.wait(references, num_returns=len(references), timeout=timeout_s)


def make_actor(
    plain: Callable[..., object],
    name: str,
    *arguments: Any,
    max_concurrency: int = 1000,
    place: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Any:
    """The Ray handle of a new actor in this process's namespace. ``place``: Ray's options that say where it lives; None: anywhere."""
    return (
        ray.remote(plain)
        .options(
            name=name,
            **(place or {"num_cpus": 0}),
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=max_concurrency,
            enable_task_events=False,
        )
        .remote(*arguments, **keywords)
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """How an actor is made and run. Secrets are arguments of ``run`` only: Ray repeats that call in every restarted actor, and
    keeps it in this process, whereas constructor arguments lie in the memory of Ray's control service.
    """

    make: partial[Any]  # of an `ActorApi`: its class, and the arguments of its constructor but ``run_log``
    run_arguments: tuple[Secret | str | None, ...] = ()
    max_concurrency: int = 1000
    place: Mapping[str, Any] | None = None


class ActorGroup:
    """The actors of one run and the loops that they run."""

    def __init__(
        self,
        config: Config,
        run_id: str,
        database_url: Secret,
        api_key: Secret | None,
        emulator_url: str | None,
        tariff: Tariff | None = None,
        run_log: RunLog | None = None,
        home: Path | None = None,
        driver_node: str | None = None,
    ) -> None:
        """``home``: HELIX_HOME, where answers are kept while the database is away; None: nowhere. This process is the driver, on the
        node ``driver_node`` of a cluster; None: on a Ray of its own.
        """
        config = config.public()
        place, self._start_timeout_s = Placement.of(config, driver_node), config.ray.start_timeout_s
        beside = place.beside_driver()
        workers, spool = config.analyzer.workers, None if home is None else spool_folder(home, run_id)
        self._run_log = run_log
        self.producers = [api.producer(index) for index in range(config.source.producers)]
        self.analyzers = [api.analyzer(index) for index in range(workers)]
        self.services: list[Address[ActorApi]] = [api.METRICS, api.CONTROL, api.QUEUE, api.THROTTLE, api.SINK]
        self._handles: dict[str, Any] = {}
        self._loops: dict[str, Pending[str]] = {}
        most_in_flight = workers * config.analyzer.requests_in_flight
        limits = (config.throttle, config.analyzer.request_timeout_s, most_in_flight, config.retry.max_share)
        self._plan: dict[str, _Plan] = {
            api.METRICS: _Plan(partial(MetricsActor), place=beside),
            api.CONTROL: _Plan(partial(ControlActor, run_id, time.time(), config.source.rate_per_s), (database_url,), place=beside),
            # far above the number of callers: a blocked put must never keep a lease or an ack out
            api.QUEUE: _Plan(partial(QueueActor, config.queue), max_concurrency=10_000, place=beside),
            api.THROTTLE: _Plan(partial(ThrottleActor, *limits, authorise, workers), place=beside),
            api.SINK: _Plan(partial(SinkActor, run_id, config.sink, Driver.this_process(), spool), (database_url,), place=beside),
        }
        for index, producer in enumerate(self.producers):
            self._plan[producer] = _Plan(partial(ProducerActor, index, config), place=place.of_producer())
        for index, analyzer in enumerate(self.analyzers):
            make = partial(AnalyzerActor, index, config, emulator_url, run_id, tariff, spool)
            # above any size to which requests_in_flight can be raised live
            package = None if driver_node is None else package_hash()
            self._plan[analyzer] = _Plan(make, (api_key, package), max_concurrency=2048, place=place.of_analyzer())

    def create(self, actors: Sequence[Address[ActorApi]]) -> dict[Address[ActorApi], str]:
        """Creates these actors and waits until each answers; their incarnations. StartError when one does not."""
        for name in actors:
            plan = self._plan[name]
            made = plan.make
            options: dict[str, Any] = {"max_concurrency": plan.max_concurrency, "place": plan.place, "run_log": self._run_log}
            try:
                self._handles[name] = make_actor(made.func, name, *made.args, **options)
            except ValueError as error:  # another run began at the same moment
                raise StartError(f"{name} exists already in this namespace of the cluster: another run is starting there") from error
        incarnations = {}
        for name, answer in self.collect({name: self.send(name, ActorApi.ping) for name in actors}, self._start_timeout_s).items():
            if isinstance(answer, CallFailure):
                raise StartError(
                    f"{name} did not come up: {answer.kind.value} after {self._start_timeout_s:g} s (ray.start_timeout_s) at most; is the "
                    "machine overloaded, or on a cluster no node with the resources and labels that it asks for?"
                )
            incarnations[name] = answer
        log.info(Event.ACTORS_CREATED, incarnations=incarnations)
        return incarnations

    def start_loops(self, actors: Sequence[str]) -> None:
        """Starts ``run`` of these actors, where it does not run; Ray runs it again by itself in a restarted actor."""
        ended = self.ended_loops()
        for name in actors:
            if name not in self._loops or name in ended:
                run = self._handles[name].run.options(max_task_retries=-1)
                self._loops[name] = Pending(run.remote(*self._plan[name].run_arguments))

    def send(self, to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Pending[R]:
        """Starts a call."""
        return Pending(api.remote(self._handles[to], method, *args, **kwargs))

    def ask(self, to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R | CallFailure:
        """The answer within `CALL_TIMEOUT_S`."""
        call = self.send(to, method, *args, **kwargs)
        wait_for([call], CALL_TIMEOUT_S)
        return call.answer()

    @staticmethod
    def collect(calls: Mapping[N, Pending[R]], timeout_s: float) -> dict[N, R | CallFailure]:
        """The answers of several actors, ``timeout_s`` seconds later at the latest."""
        wait_for(calls.values(), timeout_s)
        return {name: call.answer() for name, call in calls.items()}

    def ended_loops(self) -> dict[str, str | CallFailure]:
        """What each ``run`` that has ended returned, or why it did not."""
        answers = self.collect(self._loops, 0.0)
        return {
            name: answer for name, answer in answers.items() if not (isinstance(answer, CallFailure) and answer.kind is FailureKind.TIMEOUT)
        }

    def restart(self, name: str) -> None:
        """Kills a hung actor; Ray brings it back empty."""
        ray.kill(self._handles[name], no_restart=False)

    def dismiss(self, actors: Sequence[str]) -> None:
        """Ends these actors. By now nothing of value is left in them, and their loops are about to end: see `LOOP_END_S`."""
        wait_for([self._loops[name] for name in actors if name in self._loops], LOOP_END_S)
        for name in actors:
            if name in self._handles:
                ray.kill(self._handles.pop(name), no_restart=True)
                self._loops.pop(name, None)
