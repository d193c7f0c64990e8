"""Where the actors of a run live: on one machine anywhere, on a cluster by this table.

* queue, throttle, sink, metrics, control: the driver's node, always. They end with it, and so nothing is sent without the driver.
* producers of a file: the driver's node, which has the file
* producers of synthetic reads: spread over the nodes
* analyzers: spread over the nodes that have ``ray.analyzer_labels``
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from helix_ray.config import Config
from helix_ray.environment.logs import Event, event_logger
from helix_ray.environment.package import package_hash

log = event_logger(__name__)

FOREIGN_PAUSE_S = 10.0  # fewer restarts than open the breaker

SPREAD_CPUS = 0.01
"""An actor that asks for no CPU at all follows neither SPREAD nor a soft affinity."""


@dataclass(frozen=True, slots=True)
class Placement:
    """``driver_node``: Ray's id of the node that the driver runs on; None: a Ray of the run's own, where nothing is placed."""

    driver_node: str | None = None
    analyzer_cpus: float = SPREAD_CPUS
    analyzer_labels: dict[str, str] = field(default_factory=dict)
    producers_beside_driver: bool = False

    @classmethod
    def of(cls, config: Config, driver_node: str | None) -> Placement:
        return cls(driver_node, config.ray.analyzer_cpus, config.ray.analyzer_labels, config.source.input_file is not None)

    def beside_driver(self) -> dict[str, Any]:
        """Ray's options of an actor that lives and restarts on the driver's node only."""
        if self.driver_node is None:
            return {"num_cpus": 0}
        return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(self.driver_node, soft=False)}

    def of_producer(self) -> dict[str, Any]:
        if self.driver_node is None or self.producers_beside_driver:
            return self.beside_driver()
        return {"num_cpus": SPREAD_CPUS, "scheduling_strategy": "SPREAD"}

    def of_analyzer(self) -> dict[str, Any]:
        if self.driver_node is None:
            return self.beside_driver()
        labels = {"label_selector": self.analyzer_labels} if self.analyzer_labels else {}
        return {"num_cpus": self.analyzer_cpus, "scheduling_strategy": "SPREAD", **labels}


def node_name(address: str, node_id: str) -> str:
    """As people see a node: its address, and a beginning of Ray's id, since one address can have several nodes."""
    return f"{address}/{node_id[:6]}"


@cache
def this_node() -> str:
    """The name of the node that this process runs on; empty without Ray."""
    if not ray.is_initialized():
        return ""
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return node_name(address, ray.get_runtime_context().get_node_id())


def home_elsewhere(driver_node: str | None) -> Path | None:
    """A folder for what this process writes when it does not share the driver's machine: in Ray's session. None: it does."""
    if driver_node in (None, ray.get_runtime_context().get_node_id()):
        return None
    return home_of_session()


async def end_if_foreign(package: str) -> None:
    """Ends this process when its package is not the one of that hash: a node that joined late. Ray starts the actor again, by and by
    on a node that may have it.
    """
    if (mine := await asyncio.to_thread(package_hash)) != package:
        log.error(Event.FOREIGN_PACKAGE, node=this_node(), package=mine, of_the_run=package)
        await asyncio.sleep(FOREIGN_PAUSE_S)
        os._exit(1)


def home_of_session() -> Path:
    """Below the folder of Ray's session, whose name is the same on all nodes of a cluster."""
    node: Any = ray._private.worker._global_node
    return Path(node.get_session_dir_path()) / "helix"
