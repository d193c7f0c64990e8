"""Every actor of a run: made with the same options, found by name, asked with a deadline.

The classes in this folder are plain; here alone they become Ray actors. All belong to the driver (not detached), restart
without limit and come back empty, so their constructors take plain values and do nothing that can fail.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from helix_ray.actors import names
from helix_ray.actors.analyzer import AnalyzerActor
from helix_ray.actors.control import ControlActor
from helix_ray.actors.cost_authorization import on_record
from helix_ray.actors.metrics import MetricsActor
from helix_ray.actors.producer import ProducerActor
from helix_ray.actors.queue import QueueActor
from helix_ray.actors.sink import SinkActor
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.errors import StartError
from helix_ray.providers.prices import Tariff

CALL_TIMEOUT_S = 10.0
CREATION_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave no answer: the actor is gone, restarting or hung (``kind``), or its method raised (``error``)."""

    kind: str  # unavailable | timeout | raised
    error: BaseException


class Crew:
    """The actors of one run and the loops that they run."""

    def __init__(
        self,
        config: Config,
        run_id: str,
        database_url: Secret,
        api_key: Secret | None,
        base_url: str | None,
        tariff: Tariff | None = None,
    ) -> None:
        self.producers = [names.producer(index) for index in range(config.source.producers)]
        self.analyzers = [names.analyzer(index) for index in range(config.analyzer.workers)]
        self.services = [names.METRICS, names.CONTROL, names.QUEUE, names.THROTTLE, names.SINK]
        self._handles: dict[str, Any] = {}
        self._loops: dict[str, Any] = {}
        text = config.to_json()
        self._plan: dict[str, tuple[type, tuple[Any, ...], int]] = {
            names.METRICS: (MetricsActor, (), 1000),
            names.CONTROL: (ControlActor, (run_id, database_url, time.time()), 1000),
            # far above the number of callers: a blocked put must never keep a lease or an ack out
            names.QUEUE: (QueueActor, (config.queue.model_dump(mode="json"),), 10_000),
            names.THROTTLE: (ThrottleActor, _throttle_arguments(config), 1000),
            names.SINK: (SinkActor, (run_id, database_url, config.sink.model_dump(mode="json")), 1000),
        }
        for index, name in enumerate(self.producers):
            self._plan[name] = (ProducerActor, (index, text), 1000)
        for index, name in enumerate(self.analyzers):
            # above any size to which requests_in_flight can be raised live
            self._plan[name] = (AnalyzerActor, (index, text, api_key, base_url, run_id, tariff), 2048)

    def create(self, actor_names: list[str]) -> dict[str, str]:
        """Creates these actors and waits until each answers; their incarnations. StartError when one does not."""
        for name in actor_names:
            plain, arguments, concurrency = self._plan[name]
            self._handles[name] = (
                ray.remote(plain)
                .options(
                    name=name,
                    namespace=names.NAMESPACE,
                    num_cpus=0,
                    max_restarts=-1,
                    max_task_retries=0,
                    max_concurrency=concurrency,
                    enable_task_events=False,
                )
                .remote(*arguments)
            )
        answers = self.collect({name: self.send(name, "ping") for name in actor_names}, CREATION_TIMEOUT_S)
        for name, answer in answers.items():
            if isinstance(answer, Failure):
                raise StartError(
                    f"{name} did not come up: {answer.kind} after {CREATION_TIMEOUT_S:g} s at most; is the machine overloaded?"
                )
        return answers

    def start_loops(self, actor_names: list[str]) -> None:
        """Starts ``run`` of these actors, where it does not run; Ray runs it again by itself in a restarted actor."""
        ended = self.ended_loops()
        for name in actor_names:
            if name in self._loops and name not in ended:
                continue
            self._loops[name] = self._handles[name].run.options(max_task_retries=-1).remote()

    def send(self, name: str, method: str, *arguments: Any) -> Any:
        """Starts a call and returns its reference."""
        return getattr(self._handles[name], method).remote(*arguments)

    def ask(self, name: str, method: str, *arguments: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """The answer, or a `Failure`."""
        return self.collect({name: self.send(name, method, *arguments)}, timeout_s)[name]

    def ask_all(self, calls: Mapping[str, str], timeout_s: float = CALL_TIMEOUT_S) -> dict[str, Any]:
        """One method of several actors at once: an answer or a `Failure` each."""
        return self.collect({name: self.send(name, method) for name, method in calls.items()}, timeout_s)

    @staticmethod
    def collect(references: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        if references:
            ray.wait(list(references.values()), num_returns=len(references), timeout=timeout_s)
        return {name: _result(reference) for name, reference in references.items()}

    def ended_loops(self) -> dict[str, Any]:
        """What each ``run`` that has ended returned, or its `Failure`."""
        ready, _ = ray.wait(list(self._loops.values()), num_returns=len(self._loops), timeout=0) if self._loops else ([], [])
        return {name: _result(reference) for name, reference in self._loops.items() if reference in ready}

    def restart(self, name: str) -> None:
        """Kills a hung actor; Ray brings it back empty."""
        ray.kill(self._handles[name], no_restart=False)

    def dismiss(self, actor_names: list[str]) -> None:
        """Ends these actors. By now nothing of value is left in them."""
        for name in actor_names:
            if name in self._handles:
                ray.kill(self._handles.pop(name), no_restart=True)
                self._loops.pop(name, None)


def _throttle_arguments(config: Config) -> tuple[Any, ...]:
    most_in_flight = config.analyzer.workers * config.analyzer.requests_in_flight
    settings = config.throttle.model_dump(mode="json")
    return settings, config.analyzer.request_timeout_s, None, most_in_flight, config.retry.max_share, on_record


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference, timeout=0)
    except GetTimeoutError as error:
        return Failure("timeout", error)
    except RayTaskError as error:
        return Failure("raised", _innermost(error.cause if isinstance(error.cause, BaseException) else error))
    except RayError as error:
        return Failure("unavailable", error)


def _innermost(error: BaseException) -> BaseException:
    """What really happened: a group of tasks reports only that some of them failed."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
