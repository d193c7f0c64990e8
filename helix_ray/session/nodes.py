"""A cluster before a run starts there: a free namespace, and a proof of every node. Nothing is stored, and nothing sent that costs."""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from helix_ray.actors import api
from helix_ray.actors.nodes import node_name
from helix_ray.actors.peers import raised_by
from helix_ray.config import Config
from helix_ray.config.provider import is_loopback
from helix_ray.environment.package import package_hash
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError, HelixError, StartError
from helix_ray.session.plan import START_DEADLINE_S, Plan
from helix_ray.session.provider_check import ask_provider
from helix_ray.sources import generator_version
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.postgres_session import libpq_environment
from helix_ray.supervision.node_proof import NodeProof, refusals

PROOF_TIMEOUT_S = 30.0
"""For all nodes together."""

ENDING_S = 12.0
"""In which the actors of a run that has just ended leave their names."""


def check_cluster(plan: Plan, namespace: str, driver_node: str) -> None:
    """StartError, naming node or run: this run may not start on the cluster that this process is attached to."""
    check_free(namespace)
    known = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = {str(node["NodeID"]): str(node["NodeManagerAddress"]) for node in known if node["Alive"]}
    if len(nodes) > 1:
        check_addresses(plan.config, plan.database_url)
    task, asked = ray.remote(prove), {}
    for node, address in nodes.items():
        there = task.options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        asked[node_name(address, node)] = there.remote(plan.config.public(), plan.database_url, plan.api_key)
    ray.wait([*asked.values()], num_returns=len(asked), timeout=PROOF_TIMEOUT_S)
    proofs = {node: _answer(reference) for node, reference in asked.items()}
    own = NodeProof(package_hash(), generator_version(), _open_files())
    if refused := refusals(own, proofs):
        raise ConfigError(f"ray.address: the driver is on node {node_name(nodes[driver_node], driver_node)}", refused)


def check_free(namespace: str) -> None:
    """StartError names the run that holds the namespace. Waits for one that is just ending."""
    until = time.monotonic() + ENDING_S
    while True:
        try:
            holder = ray.get_actor(api.METRICS, namespace)
        except ValueError:
            return
        try:
            run = ray.get(api.remote(holder, api.MetricsApi.snapshot), timeout=START_DEADLINE_S).run
            raise StartError(
                f"namespace {namespace} of the cluster holds run {run.run_id} ({run.name}), which is live; wait for it, end it with "
                "`helix control drain`, or set ray.namespace to another name"
            )
        except RayError as error:
            if time.monotonic() > until:
                raise StartError(
                    f"namespace {namespace} of the cluster holds a run that does not answer ({type(error).__name__}); set ray.namespace to "
                    "another name"
                ) from error
            time.sleep(0.5)


def check_addresses(config: Config, database_url: Secret) -> None:
    """ConfigError: an address that means another machine on each node."""
    host = libpq_environment(database_url.reveal()).get("PGHOST", "")
    if not host or host.startswith("/") or is_loopback(f"http://{host}"):
        raise ConfigError("DATABASE_URL", ["names a server on this machine, and the cluster has more nodes; name one that all nodes reach"])
    if config.analyzer.backend.asks_provider and is_loopback(config.provider_url):
        problem = f"{config.provider_url} is this machine, and the cluster has more nodes; name an address that all nodes reach"
        raise ConfigError("provider.base_url", [problem])


def prove(config: Config, database_url: Secret, api_key: Secret | None) -> NodeProof:
    """Runs on the node. Secrets are arguments of this call, as of `run`: they go from process to process and are kept nowhere."""
    problems = []
    try:
        with_ledger(database_url, lambda ledger: ledger.check(), START_DEADLINE_S, START_DEADLINE_S)
    except (HelixError, TimeoutError, OSError) as error:
        problems.append(f"the database: {error or type(error).__name__}")
    if config.analyzer.backend.asks_provider:
        try:
            asyncio.run(ask_provider(config, api_key))
        except HelixError as error:
            problems.append(str(error))
    return NodeProof(package_hash(), generator_version(), _open_files(), tuple(problems))


def _open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _answer(reference: Any) -> NodeProof | str:
    try:
        found: NodeProof = ray.get(reference, timeout=0)
    except RayTaskError as error:
        cause = raised_by(error)
        return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1] if str(cause).strip() else ''}"
    except (RayError, TimeoutError) as error:
        return f"{type(error).__name__} within {PROOF_TIMEOUT_S:g} s"
    return found
