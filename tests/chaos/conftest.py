"""How many hits, the runs under fire, and the table at the end."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.killer import VERDICTS, Fire, UnderFire
from fix_run import StartRun
from helix_ray.storage.embedded import EmbeddedServer
from support.outside_judge import Verdict, table

COUNTS = {
    "kills": 60, "outages": 20, "driver": 20, "sigterm": 20, "postmaster": 10, "pauses": 14, "minutes": 2, "disk": 4,
    "connections": 1000, "postgres": 12,
}  # fmt: skip


@pytest.fixture
def hits(request: pytest.FixtureRequest) -> int:
    """Of the whole scenario: CHAOS_COUNT, or if that is 0 the scenario's own number."""
    return int(os.environ.get("CHAOS_COUNT", "0")) or COUNTS[request.node.name.removeprefix("test_")]


@pytest.fixture
def small_disk(passable_home: Path) -> Iterator[Path]:
    """HELIX_HOME on a disk of its own, which only root can make."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m,mode=711", "tmpfs", str(passable_home)], check=True)
    yield passable_home
    subprocess.run(["umount", "--lazy", str(passable_home)], check=True)


@pytest.fixture
def under_fire(start_run: StartRun, passable_home: Path, tmp_path: Path) -> UnderFire:
    """``with under_fire("kills", server, reads=500) as fire``: a run that is judged at the end, whatever happened."""

    @contextmanager
    def under_fire(scenario: str, server: EmbeddedServer | None, reads: int, **how: Any) -> Iterator[Fire]:
        fire = Fire(scenario, start_run, passable_home, tmp_path, server, reads, **how)
        try:
            yield fire
        finally:
            verdict = fire.judge()
            print(table([verdict]), flush=True)  # seen with -s: each run of a long scenario, as it ends
            VERDICTS.setdefault(scenario, Verdict(scenario)).add(verdict)

    return under_fire


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if VERDICTS:
        terminalreporter.write_line("\n" + table(VERDICTS.values()))
