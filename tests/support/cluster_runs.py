"""Runs on machines of namespaces: started there, looked at from there, judged by the rows they leave."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.cluster_services import EMULATOR_PORT, KEY_CANARY, Services, services
from support.machines import Cluster, Machine, possible

IN_CHARGE = {"helix-control", "helix-queue", "helix-throttle", "helix-sink"}
HELIX = ("python", "-c", "from helix_ray.cli import main; main()")
DEADLINE_S = 120.0
ESTABLISHED = "01"


class Started:
    """A run whose driver is a process on one of the machines."""

    def __init__(self, lab: Lab, driver: Machine, *settings: str, run_id: str | None = None, home: str = "home") -> None:
        self.lab, self.driver = lab, driver
        self.run_id = run_id or str(uuid.uuid4())
        self.home = lab.private / home
        self.log = lab.folder / f"{self.run_id}-{time.monotonic_ns()}.log"
        words = [*lab.settings(), *settings]
        command = ["python", "-m", "helix_ray.run", *(part for word in words for part in ("--set", word)), "--run-id", self.run_id]
        environment = lab.cluster.environment(
            GROQ_API_KEY=KEY_CANARY, DATABASE_URL=lab.services.database_url, HELIX_HOME=str(self.home), PYTHONUNBUFFERED="1"
        )
        self.process = driver.start(*command, env=environment, log=self.log)
        lab.runs.append(self)

    def until(self, what: str, happened: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{what} did not happen (exit code {self.process.poll()}):\n{self.log.read_text()}")
            with_timeout(self.process, 0.2)

    def until_stored(self, reads: int) -> None:
        self.until(f"{reads} rows", lambda: self.rows > reads)

    @property
    def rows(self) -> int:
        return self.lab.rows(self.run_id)[0]

    def kill(self) -> float:
        """SIGKILL to the driver alone; when, in Unix seconds."""
        driver = [it for it in self.driver.processes() if self.run_id in " ".join(cmdline(it)) and "python" in cmdline(it)[0]]
        assert driver
        for process in driver:
            process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        return time.time()

    def finish(self, timeout_s: float = DEADLINE_S) -> tuple[int, dict[str, Any]]:
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the run did not end within {timeout_s} s:\n{self.log.read_text()}")
        report = self.driver.path(self.home / "reports" / f"{self.run_id}.json")
        return code, json.loads(report.read_text()) if report.exists() else {}

    def complete(self, reads: int, timeout_s: float = DEADLINE_S) -> dict[str, Any]:
        """It ends well, with every read once."""
        code, report = self.finish(timeout_s)
        assert code == 0, self.log.read_text()
        assert self.lab.rows(self.run_id) == (reads, reads)
        assert (report["lost"], report["duplicates"]) == (0, 0)
        return report

    def status(self, machine: Machine, namespace: str = "helix") -> dict[str, Any]:
        shown = self.lab.helix(machine, "status", "--json", "--address", f"{self.lab.cluster.gcs}/{namespace}")
        return dict(json.loads(shown.stdout)) if shown.returncode == 0 else {}

    def places(self, machine: Machine) -> dict[str, str]:
        """The address of the node of each part, once all have reported."""
        found: dict[str, str] = {}

        def known() -> bool:
            nonlocal found
            found = {it["name"]: it["node"].split("/")[0] for it in self.status(machine).get("actors", [])}
            return IN_CHARGE | {"helix-analyzer-0", "helix-analyzer-1"} <= found.keys()

        self.until("a report of every part", known)
        return found


def with_timeout(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


class Lab:
    def __init__(self, folder: Path, private: Path, cluster: Cluster, served: Services) -> None:
        self.folder, self.private, self.cluster, self.services = folder, private, cluster, served
        self.runs: list[Started] = []

    def settings(self) -> list[str]:
        provider = f"provider.base_url={self.services.emulator_url}/openai/v1"
        common = ["sink.database=external", "analyzer.backend=groq", provider, f"ray.address={self.cluster.gcs}"]
        return [*common, "analyzer.workers=2", "source.producers=1", "throttle.max_cost_usd=100"]

    def helix(self, machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
        return machine.call(*HELIX, *words, env=self.cluster.environment(HELIX_HOME=str(self.private / "looking"), COLUMNS="200"))

    def rows(self, run_id: str) -> tuple[int, int]:
        """Rows, and different reads among them."""
        statement = f"select count(*), count(distinct read_index) from helix.reads where run_id = '{run_id}'"
        return tuple(self.services.query(statement)[0]) if self.begun(run_id) else (0, 0)

    def begun(self, run_id: str) -> bool:
        if self.services.query("select to_regclass('helix.runs') is null")[0][0]:
            return False
        return bool(self.services.query(f"select count(*) from helix.runs where run_id = '{run_id}'")[0][0])

    def holds_requests(self, machine: Machine) -> bool:
        """Connections of this machine to the emulator are open; only analyzers make any."""
        port, lines = f":{EMULATOR_PORT:04X}", machine.call("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout.splitlines()
        return any(words[2].endswith(port) and words[3] == ESTABLISHED for words in map(str.split, lines))


def cmdline(process: psutil.Process) -> list[str]:
    """Never empty."""
    try:
        return process.cmdline() or [""]
    except psutil.Error:
        return [""]


@contextmanager
def three_machines() -> Iterator[Lab]:
    """A head without CPUs and two workers."""
    assert possible(), "these tests need root, and the programs ip, unshare and nsenter (packages iproute2 and util-linux)"
    folder = Path(tempfile.mkdtemp(prefix="helix-machines-", dir="/tmp"))
    folder.chmod(0o711)
    served = folder / "served"
    served.mkdir(mode=0o755)
    served.chmod(0o755)
    private = folder / "private"
    with Cluster(folder, private) as cluster, services(cluster, served) as running:
        cluster.add("--num-cpus=0")
        for _ in range(2):
            cluster.add("--num-cpus=2")
        yield Lab(folder, private, cluster, running)
    shutil.rmtree(folder, ignore_errors=True)
