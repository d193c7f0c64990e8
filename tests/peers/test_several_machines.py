"""Runs on a Ray cluster of three machines, which are namespaces on one bridge: as root, with iproute2, some minutes."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.canaries import files_in, memory_of, occurrences, shown_by
from support.cluster_services import KEY_CANARY, PASSWORD_CANARY, Services, services
from support.machines import Cluster, Machine, possible

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("machines"), pytest.mark.timeout(400)]

CANARIES = [KEY_CANARY.encode(), PASSWORD_CANARY.encode()]
IN_CHARGE = {"helix-control", "helix-queue", "helix-throttle", "helix-sink"}
HELIX = ("python", "-c", "from helix_ray.cli import main; main()")
DEADLINE_S = 120.0


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
        """An analyzer of this machine has requests open at the emulator."""
        port = int(self.services.emulator_url.rpartition(":")[2])
        analyzers = [it for it in machine.processes() if _title(it).startswith("ray::AnalyzerActor")]
        return any(link.raddr and link.raddr.port == port for it in analyzers for link in it.connections("tcp"))


def _title(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    assert possible(), "these tests need root, and the programs ip, unshare and nsenter (packages iproute2 and util-linux)"
    folder = Path(tempfile.mkdtemp(prefix="helix-machines-", dir="/tmp"))
    folder.chmod(0o711)
    served = folder / "served"
    served.mkdir(mode=0o755)
    served.chmod(0o755)
    private = folder / "private"
    with Cluster(folder, private) as cluster, services(cluster.address, served) as running:
        cluster.add("--num-cpus=0")
        for _ in range(2):
            cluster.add("--num-cpus=2")
        yield Lab(folder, private, cluster, running)
    shutil.rmtree(folder, ignore_errors=True)


def worker(lab: Lab, address: str) -> Machine:
    return next(machine for machine in lab.cluster.machines if machine.address == address)


def test_a_run_over_three_nodes_has_its_authorities_beside_the_driver_and_its_secrets_nowhere(lab: Lab) -> None:
    head, *workers = lab.cluster.machines
    run = Started(lab, head, "source.count=3000")
    places = run.places(workers[0])
    assert {places[name] for name in IN_CHARGE} == {head.address}
    assert {places["helix-analyzer-0"], places["helix-analyzer-1"]} == {it.address for it in workers}
    shown = lab.helix(workers[0], "status", "--address", lab.cluster.gcs).stdout
    assert all(f"{it.address}/" in shown for it in lab.cluster.machines)
    where = lab.helix(workers[1], "logs", "--address", lab.cluster.gcs).stdout
    for machine in workers:  # the folder that is named is there
        line = next(line for line in where.splitlines() if line.startswith(f"{machine.address}/"))
        assert [*machine.path(Path(line.rpartition(" in ")[2])).glob("helix-analyzer-*.jsonl")]
    everyone = [process for machine in lab.cluster.machines for process in machine.processes()]
    assert len(everyone) > 30
    keepers = [process for process in everyone if "gcs_server" in _title(process) or "raylet" in _title(process)]
    assert len(keepers) == 4
    assert occurrences(CANARIES, (region for process in keepers for region in memory_of(process))) == [0, 0]
    own = [process for process in everyone if "helix_ray.run" in _cmdline(process)]
    assert own
    assert occurrences(CANARIES, shown_by(process for process in everyone if process not in own)) == [0, 0]
    assert occurrences(CANARIES, files_in(*(machine.path(Path("/tmp/ray")) for machine in lab.cluster.machines))) == [0, 0]
    run.complete(3000)


def _cmdline(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_each_namespace_has_one_run(lab: Lab) -> None:
    head, other, _ = lab.cluster.machines
    first = Started(lab, head, "source.count=1500", "source.rate_per_s=60")
    first.until("a live run", lambda: first.rows > 0)
    second = Started(lab, other, "source.count=300", "ray.namespace=second", "ray.analyzer_cpus=0.5")
    third = Started(lab, head, "source.count=300", home="third")
    code, _ = third.finish()
    said = third.log.read_text()
    assert code == 2, said
    assert f"namespace helix of the cluster holds run {first.run_id}" in said
    assert not lab.begun(third.run_id)
    second.complete(300)
    answer = lab.helix(other, "control", "--address", lab.cluster.gcs, "drain")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert first.finish()[0] == 130


def test_a_node_that_dies_costs_its_requests_in_flight(lab: Lab) -> None:
    head, victim, _ = lab.cluster.machines
    lab.services.emulator("set", latency_scale=6.0)
    run = Started(lab, head, "source.count=1500")
    assert victim.address in [place for name, place in run.places(head).items() if "analyzer" in name]
    run.until_stored(300)
    assert lab.holds_requests(victim)
    victim.kill()
    lab.services.emulator("set", latency_scale=1.0)
    report = run.complete(1500)
    assert 0 < report["possibly_billed"] <= 32
    assert report["reads_repaid"] == 0


def test_a_node_that_is_cut_off_and_comes_back_doubles_nothing(lab: Lab) -> None:
    head = lab.cluster.machines[0]
    lab.cluster.add("--num-cpus=2")
    alive = lab.cluster.machines[2:]
    run = Started(lab, head, "source.count=4500", "source.rate_per_s=80")
    places = run.places(head)
    cut = next(machine for machine in alive if machine.address == places["helix-analyzer-0"])
    run.until_stored(200)
    lab.cluster.plug(cut, "down")
    with_timeout(run.process, 40.0)
    lab.cluster.plug(cut, "up")
    run.complete(4500)


def test_a_stopped_job_is_drained_and_goes_on_by_its_id(lab: Lab) -> None:
    head, run_id = lab.cluster.machines[0], str(uuid.uuid4())
    for name, value in (("GROQ_API_KEY", KEY_CANARY), ("DATABASE_URL", lab.services.database_url)):
        with (lab.folder / ".env").open("a") as secrets:
            secrets.write(f"{name}={value}\n")
    (lab.folder / ".env").chmod(0o600)
    settings = [*lab.settings()[:3], "ray.address=auto", *lab.settings()[4:], "source.count=2000", "source.rate_per_s=50"]
    words = " ".join(f"--set {setting}" for setting in settings)
    home = lab.private / "job"
    entry = f"cd {lab.folder} && HELIX_HOME={home} exec python -m helix_ray.run {words} --run-id {run_id}"
    environment = lab.cluster.environment()
    grace = json.dumps({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}})
    job = ("--address", "http://127.0.0.1:8265")
    submitted = head.call(
        "ray", "job", "submit", *job, "--submission-id", "helix", "--no-wait", "--runtime-env-json", grace, "--", "sh", "-c", entry,
        env=environment,
    )  # fmt: skip
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    deadline = time.monotonic() + DEADLINE_S
    while lab.rows(run_id)[0] < 100:
        assert time.monotonic() < deadline, head.call("ray", "job", "logs", *job, "helix", env=environment).stdout
    assert head.call("ray", "job", "stop", *job, "helix", env=environment).returncode == 0
    said = head.call("ray", "job", "logs", *job, "helix", env=environment).stdout
    stored = lab.rows(run_id)[0]
    assert lab.services.query(f"select status from helix.runs where run_id = '{run_id}'") == [("stopped",)], said
    assert f"--resume {run_id}" in said.split("Resume with:")[1]
    listed = head.call("ray", "job", "list", *job, env=environment).stdout
    assert "helix" in listed
    assert not [canary for canary in CANARIES if canary.decode() in listed + said]
    before = lab.services.query(f"select count(*) from helix.api_calls where run_id = '{run_id}' and state = 'answered'")[0][0]
    assert before >= stored > 0
    report = Started(lab, head, "source.count=2000", run_id=run_id, home="job").complete(2000)
    assert report["reads_repaid"] == 0


def test_a_changed_package_is_refused_and_nothing_is_stored(lab: Lab) -> None:
    head = lab.cluster.machines[0]
    other = lab.cluster.add("--num-cpus=2", changed="analysis/prompts/text.py")
    run = Started(lab, head, "source.count=100")
    code, report = run.finish()
    said = run.log.read_text()
    assert (code, report) == (2, {}), said
    assert f"node {other.address}/" in said
    assert "its package is" in said
    assert not lab.begun(run.run_id)
    assert not other.path(run.home).exists()
