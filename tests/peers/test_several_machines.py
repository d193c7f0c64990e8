"""Runs on a Ray cluster of three machines, which are namespaces on one bridge: as root, with iproute2, some minutes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.canaries import files_in, memory_of, occurrences, shown_by
from support.cluster_runs import DEADLINE_S, IN_CHARGE, Lab, Started, cmdline, three_machines, with_timeout
from support.cluster_services import KEY_CANARY, PASSWORD_CANARY

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("machines"), pytest.mark.timeout(400)]

CANARIES = [KEY_CANARY.encode(), PASSWORD_CANARY.encode()]
SETTLED_S = 6.0
"""After which a request that was sent without the driver would be on record."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with three_machines() as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_left_running(lab: Lab) -> Iterator[None]:
    """A test that fails must not take the namespace from the next one."""
    yield
    for run in lab.runs:
        if run.process.poll() is None:
            run.kill()


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
    keepers = [process for process in everyone if "gcs_server" in cmdline(process)[0] or "raylet" in cmdline(process)[0]]
    assert len(keepers) == 4
    assert occurrences(CANARIES, (region for process in keepers for region in memory_of(process))) == [0, 0]
    own = [process for process in everyone if "helix_ray.run" in " ".join(cmdline(process))]
    assert own
    assert occurrences(CANARIES, shown_by(process for process in everyone if process not in own)) == [0, 0]
    assert occurrences(CANARIES, files_in(*(machine.path(Path("/tmp/ray")) for machine in lab.cluster.machines))) == [0, 0]
    run.complete(3000)


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


def test_without_its_driver_a_run_sends_nothing_and_goes_on_by_its_id(lab: Lab) -> None:
    head = lab.cluster.machines[0]
    run = Started(lab, head, "source.count=1500", "source.rate_per_s=60")
    run.until_stored(200)
    killed_at = run.kill()
    while time.time() < killed_at + SETTLED_S:
        last = max(float(request["time"]) for request in lab.services.requests())
        assert last < killed_at + 2.0
    report = Started(lab, head, "source.count=1500", run_id=run.run_id).complete(1500)
    assert report["reads_repaid"] == 0


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
