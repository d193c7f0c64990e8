"""Nodes of a cluster die under a run, and at last the head with the driver: nothing is lost, nothing doubled, nothing paid twice."""

from __future__ import annotations

import os

import pytest

from support.cluster_runs import Lab, Started, three_machines

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]

READS, IN_FLIGHT = 1500, 32
KILLS = int(os.environ.get("CHAOS_COUNT", "0")) or 10


def longest_gap_s(lab: Lab, run_id: str) -> float:
    """Between two commits of rows."""
    statement = (
        "select max(extract(epoch from later - earlier)) from (select finished_at as later, lag(finished_at) over (order by finished_at) "
        f"as earlier from helix.reads where run_id = '{run_id}') as commits"
    )
    return float(lab.services.query(statement)[0][0])


def test_nodes_that_die_cost_their_requests_in_flight() -> None:
    with three_machines() as lab:
        head = lab.cluster.machines[0]
        for number in range(KILLS):
            lab.services.emulator("set", latency_scale=6.0)
            run = Started(lab, head, f"source.count={READS}")
            places = run.places(head)
            victim = next(machine for machine in lab.cluster.machines if machine.address == places[f"helix-analyzer-{number % 2}"])
            run.until_stored(200)
            assert lab.holds_requests(victim)
            victim.kill()
            lab.services.emulator("set", latency_scale=1.0)
            report = run.complete(READS)
            assert report["possibly_billed"] <= 2 * IN_FLIGHT
            assert report["reads_repaid"] == 0
            gap_s = longest_gap_s(lab, run.run_id)
            print(f"kill {number + 1}: possibly billed {report['possibly_billed']}, longest time without a row {gap_s:.1f} s", flush=True)
            lab.cluster.add("--num-cpus=2")


def test_a_head_that_dies_under_its_run_costs_no_answer() -> None:
    with three_machines() as lab:
        run = Started(lab, lab.cluster.machines[0], f"source.count={READS}", "source.rate_per_s=100")
        run.until_stored(300)
        for machine in lab.cluster.machines:
            machine.kill()
        run.process.wait(30)
        lab.cluster.machines.clear()
        lab.cluster.add("--num-cpus=2")
        lab.cluster.add("--num-cpus=2")
        report = Started(lab, lab.cluster.machines[0], f"source.count={READS}", run_id=run.run_id).complete(READS)
        assert report["reads_repaid"] == 0
