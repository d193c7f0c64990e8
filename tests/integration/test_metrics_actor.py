"""A run seen from outside: attached to by another process, commanded, followed through a restart, survived."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

# A driver of its own, as a run is: the viewer below is what the page and the terminal are.
DRIVER = """
import json, os, sys
from pathlib import Path
home = Path(sys.argv[1])
token = home / "ray_token"
token.write_text("0123456789abcdef" * 4)
token.chmod(0o600)
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token), RAY_USAGE_STATS_ENABLED="0")
import ray
from helix_ray.actors import api
from helix_ray.actors.control import ControlActor
from helix_ray.actors.metrics import MetricsActor
from helix_ray.environment.run_file import RunFile
from helix_ray.metrics.reports import ProducerReport
from helix_ray.metrics.snapshot import RunInfo
from helix_ray.records import DesiredState
from helix_ray.environment.secrets import Secret

class Worker:
    async def run(self):
        from helix_ray.actors.heartbeat import Heartbeat
        self.done = 0
        def report():
            self.done += 10
            return ProducerReport(produced=self.done)
        await Heartbeat().beat("helix-producer-0", report, lambda state: None)

class NamedMetricsActor(MetricsActor):  # a driver sets the run again when metrics has restarted
    def __init__(self):
        super().__init__()
        self._aggregator.run = RunInfo(run_id="run-1", name="demo")

context = ray.init(address="local", namespace=api.NAMESPACE, num_cpus=2, include_dashboard=False, object_store_memory=100_000_000,
                   log_to_driver=False, _temp_dir=sys.argv[2])
def make(plain, name, *args):
    return ray.remote(plain).options(name=name, num_cpus=0, max_restarts=-1, max_concurrency=100).remote(*args)
metrics = make(NamedMetricsActor, api.METRICS)
control = make(ControlActor, api.CONTROL, "run-1", 0.0)
worker = make(Worker, "helix-producer-0")
worker.run.remote()
control.run.remote(Secret("postgresql://127.0.0.1:9/none"))
ray.get([metrics.ping.remote(), control.ping.remote()])
RunFile.for_this_process("run-1", context.address_info["gcs_address"], api.NAMESPACE, None, token).write(home)
print("up", flush=True)
sys.stdin.read()
ray.shutdown()
"""

# In a process of its own: the test session's may be attached to the session's own cluster.
VIEWER = """
import sys
from pathlib import Path
import psutil
if sys.argv[2] == "ray first":
    import ray
from helix_ray.client import HelixClient, command
from helix_ray.errors import AttachError
from helix_ray.environment.run_file import RunFile
from helix_ray.records import Action

home = Path(sys.argv[1])
client = HelixClient(home)

def wait_for_reads(at_least):
    for _ in range(5000):  # each turn waits for the actor's answer; the worker reports once a second
        snapshot = client.snapshot(timeout_s=20)
        if snapshot.totals.produced >= at_least:
            return snapshot
    raise AssertionError(f"no report of {at_least} reads")

snapshot = wait_for_reads(20)
assert (snapshot.run.run_id, snapshot.run.name) == ("run-1", "demo")
worker = next(actor for actor in snapshot.actors if actor.name == "helix-producer-0")
assert worker.pss_mb > 1
assert client.history(0.0)[0].offered is None

refused = client.send(command(Action.PAUSE, actor="test"))
assert not refused.accepted and "recorded" in refused.message, refused
end = command(Action(sys.argv[3]), actor="test")
ack = client.send(end)
assert ack.accepted, "an end is obeyed without the database"
assert client.send(end) == ack

driver = psutil.Process(RunFile.read(home).pid)
victim = next(child for child in driver.children(recursive=True) if "MetricsActor" in " ".join(child.cmdline()))
before = client.snapshot(timeout_s=20).totals.produced
victim.kill()
for _ in range(200):
    try:
        wait_for_reads(before + 1)  # absolute counters refill the new actor
        break
    except AttachError:
        continue  # the client let go, and attaches anew at the next call
else:
    raise AssertionError("the client did not find the restarted actor")

print("end the run", flush=True)
sys.stdin.readline()
try:
    client.snapshot()
except AttachError as error:
    assert "no live run" in str(error)
else:
    raise AssertionError("the run is over and still answers")
import ray
assert not ray.is_initialized()
print("well", flush=True)
"""


def without_ray() -> dict[str, str]:
    """The environment without what the session set for a Ray of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    temp = tempfile.mkdtemp(prefix="hxm", dir="/tmp")  # short: a UNIX socket's path has at most 107 bytes
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), temp],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=without_ray(),
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.stdin.close()
    process.wait(60)
    process.stdout.close()
    shutil.rmtree(temp, ignore_errors=True)


def test_other_processes_see_commands_and_survive_the_end_of_the_run(driver: subprocess.Popen[str], tmp_path: Path) -> None:
    """Two viewers, one of which imports Ray before the client does: it must not matter who was first."""
    with ExitStack() as stack:
        viewers = []
        for first, end in (("ray first", "drain"), ("client first", "stop")):
            command = [sys.executable, "-c", VIEWER, str(tmp_path), first, end]
            viewer = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=without_ray(), text=True)
            )
            assert viewer.stdout is not None
            assert viewer.stdout.readline() == "end the run\n"
            viewers.append(viewer)
        assert driver.stdin is not None
        driver.stdin.close()
        driver.wait(60)
        for viewer in viewers:
            assert viewer.communicate("\n")[0] == "well\n"
            assert viewer.returncode == 0
