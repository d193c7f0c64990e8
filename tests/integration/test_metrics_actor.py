"""The metrics and control actors in a real Ray: found by name, restarted, attached to from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from helix_ray.client import HelixClient, command
from helix_ray.errors import AttachError
from helix_ray.home import RunFile
from helix_ray.records import Action

# A driver of its own, as a run is: this process then is what the page and the terminal are.
DRIVER = """
import json, os, sys
from pathlib import Path
home = Path(sys.argv[1])
token = home / "ray_token"
token.write_text("0123456789abcdef" * 4)
token.chmod(0o600)
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token), RAY_USAGE_STATS_ENABLED="0")
import ray
from helix_ray.actors import names
from helix_ray.actors.control import ControlActor
from helix_ray.actors.metrics import MetricsActor
from helix_ray.home import RunFile
from helix_ray.records import DesiredState
from helix_ray.secrets import Secret

class Worker:
    async def run(self):
        from helix_ray.actors.heartbeat import Heartbeat
        self.done = 0
        def counters():
            self.done += 10
            return {"produced": self.done}
        await Heartbeat().beat("helix-producer-0", counters, lambda state: None)

context = ray.init(address="local", namespace=names.NAMESPACE, num_cpus=2, include_dashboard=False, object_store_memory=100_000_000,
                   log_to_driver=False, _temp_dir=sys.argv[2])
def make(plain, name, *args):
    return ray.remote(plain).options(name=name, num_cpus=0, max_restarts=-1, max_concurrency=100).remote(*args)
metrics = make(MetricsActor, names.METRICS, {"run_id": "run-1", "name": "demo"})
control = make(ControlActor, names.CONTROL, "run-1", Secret("postgresql://127.0.0.1:9/none"), 0.0)
worker = make(Worker, "helix-producer-0")
worker.run.remote()
ray.get([metrics.ping.remote(), control.ping.remote()])
RunFile.for_this_process("run-1", context.address_info["gcs_address"], names.NAMESPACE, None, token).write(home)
print("up", flush=True)
sys.stdin.read()
ray.shutdown()
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), f"/tmp/hxmet{os.getpid()}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


def wait_for_report(client: HelixClient, at_least: int) -> None:
    """Each poll waits for the actor's own answer; the worker reports once a second."""
    for _ in range(3000):
        if client.snapshot(timeout_s=20).totals.produced >= at_least:
            return
    pytest.fail(f"no report of {at_least} reads")


def test_a_second_process_sees_commands_and_survives_the_end_of_the_run(driver: subprocess.Popen[str], tmp_path: Path) -> None:
    client = HelixClient(tmp_path)
    wait_for_report(client, 10)
    snapshot = client.snapshot(timeout_s=20)
    assert snapshot.run.name == "demo"
    worker = next(actor for actor in snapshot.actors if actor.name == "helix-producer-0")
    assert worker.pss_mb is not None
    assert worker.pss_mb > 1
    assert client.history(0.0)[0].offered is None

    refused = client.send(command(Action.PAUSE, actor="test"))
    assert (refused.accepted, "recorded" in refused.message) == (False, True)
    stop = command(Action.STOP, actor="test")
    ack = client.send(stop)
    assert ack.accepted, "an end is obeyed without the database"
    assert client.send(stop) == ack

    run_file = RunFile.read(tmp_path)
    assert run_file is not None
    assert json.loads((tmp_path / "run.json").read_text())["pid"] == driver.pid

    victim = next(child for child in psutil.Process(driver.pid).children(recursive=True) if "MetricsActor" in " ".join(child.cmdline()))
    before = client.snapshot(timeout_s=20).totals.produced
    victim.kill()
    victim.wait(20)
    for _ in range(100):
        try:
            wait_for_report(client, before)  # absolute counters refill the new actor
            break
        except AttachError:
            continue  # the client let go, and attaches anew at the next call
    else:
        pytest.fail("the client did not find the restarted actor")

    assert driver.stdin is not None
    driver.stdin.close()
    driver.wait(60)
    with pytest.raises(AttachError, match="no live run"):
        client.snapshot()
    client.close()
    import ray

    assert not ray.is_initialized()
