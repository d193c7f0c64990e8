"""A run of six reads is killed at each of its durable boundaries, and at each two of them: within one recovery, the second after the first.

A boundary is where a process is before or after a statement, a commit, a reply, a write of the spool, a send or an answer. The
process that reaches it dies there. Pairs take minutes: `make chaos SCENARIO=pairs`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simulation.database import STATEMENTS
from simulation.judge import violations
from simulation.loop import Process
from simulation.plans import Plan
from simulation.world import World

PLAN = Plan(reads=6, analyzers=2, reads_per_request=2, in_flight=1, capacity=4, poor=0.4)
SEED = 3
PARTS = 8

BY_THE_SINK = ("claim", "intend", "authorise", "write_batch")
BY_THE_DRIVER = ("resume_run", "close_open_calls", "reserved_usd", "spent_usd", "taken", "done_ranges")
REPLIES = {
    "helix-queue": (
        "open", "put", "done_ranges", "finish_input", "lease", "extend", "ack", "release", "close_input", "close_leases", "stats", "ping",
    ),
    "helix-throttle": ("exchange", "release", "restore", "set_budget", "stats", "ping"),
    "helix-sink": ("intend", "write", "authorise", "flush", "stats", "ping"),
    "analyzer": ("drain", "ping"),
    "producer": ("ping",),
}  # fmt: skip
RECEIVED = {
    "helix-sink": ("helix-queue.ack",),
    "helix-throttle": ("helix-sink.authorise",),
    "analyzer": (
        "helix-queue.lease", "helix-queue.extend", "helix-queue.release", "helix-throttle.exchange", "helix-throttle.release",
        "helix-sink.intend", "helix-sink.write",
    ),
    "producer": ("helix-queue.put", "helix-queue.done_ranges", "helix-queue.finish_input"),
    "driver": (
        "helix-queue.open", "helix-queue.close_input", "helix-queue.close_leases", "helix-queue.stats", "helix-queue.ping",
        "helix-throttle.restore", "helix-throttle.set_budget", "helix-throttle.stats", "helix-throttle.ping",
        "helix-sink.flush", "helix-sink.stats", "helix-sink.ping", "analyzer.drain", "analyzer.ping", "producer.ping",
    ),
}  # fmt: skip
POINTS = {
    *(
        f"{who}: {method}, {when} {what}"
        for who, methods in (("helix-sink", BY_THE_SINK), ("driver", BY_THE_DRIVER))
        for method in methods
        for what in (*STATEMENTS[method], "commit")
        for when in ("before", "after")
    ),
    *(f"{actor}: before its reply to {method}" for actor, methods in REPLIES.items() for method in methods),
    *(f"{who}: reply of {reply} received" for who, replies in RECEIVED.items() for reply in replies),
    "analyzer: before the spool is written",
    "analyzer: after the spool is written",
    "analyzer: before the request is sent",
    "analyzer: after the request is sent",
    "analyzer: before the answer is received",
}


@dataclass
class Killer:
    """Kills at the boundary of this number, and then at the next one of this name."""

    first: int | None = None
    second: str | None = None
    reached: list[str] = field(default_factory=list)

    def __call__(self, world: World, name: str, process: Process) -> bool:
        number = len(self.reached)
        self.reached.append(_named(name))
        if number == self.first:
            return True
        if self.first is not None and number > self.first and self.reached[-1] == self.second:
            self.second = None
            return True
        return False


def _named(name: str) -> str:
    """Without the number of an analyzer or a producer."""
    return re.sub(r"-(\d+)(?=[.:])", "", name)


def killed(folder: Path, first: int | None = None, second: str | None = None) -> tuple[list[str], list[str]]:
    """The boundaries that were reached, and the promises that were broken."""
    killer = Killer(first, second)
    world = World(SEED, PLAN, folder, killer)
    world.run()
    return killer.reached, violations(world)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    reached, broken = killed(tmp_path_factory.mktemp("calm"))
    assert not broken
    return reached


def test_every_boundary_is_reached(calm: list[str], tmp_path: Path) -> None:
    """In the run itself, or in the recovery of a throttle or a driver."""
    reached = {*calm}
    for name in ("helix-throttle: before its reply to exchange", "driver: reply of helix-queue.stats received"):
        reached |= {*killed(tmp_path, calm.index(name))[0]}
    assert POINTS - reached == set()
    assert reached - POINTS == set()


@pytest.mark.parametrize("part", range(PARTS))
def test_the_run_survives_each(part: int, calm: list[str], tmp_path: Path) -> None:
    failed = {f"{number} {calm[number]}": broken for number in range(part, len(calm), PARTS) if (broken := killed(tmp_path, number)[1])}
    print(f"{len(range(part, len(calm), PARTS))} of {len(calm)} boundaries ({len({*calm})} names): {len(failed)} failed")
    assert not failed


@pytest.mark.peer
@pytest.mark.timeout(7200)
def test_the_run_survives_pairs(calm: list[str], tmp_path: Path) -> None:
    """Each name at its first place, then each name that is reached after it."""
    pairs, failed = 0, {}
    for first in sorted({calm.index(name) for name in calm}):
        after = dict.fromkeys(killed(tmp_path, first)[0][first + 1 :])
        for second in after:
            pairs += 1
            if broken := killed(tmp_path, first, second)[1]:
                failed[calm[first], second] = broken
    print(f"{pairs} pairs of boundaries: {len(failed)} failed")
    assert not failed
