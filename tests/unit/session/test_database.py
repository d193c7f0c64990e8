"""How a stored run is named."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from helix_ray.config import Config
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import Secret, Secrets
from helix_ray.errors import ConfigError
from helix_ray.session import database
from support.ledger_values import RUN_ID, run_row
from support.memory_ledger import MemoryLedger

OTHER = "7b1c0000-0000-4000-8000-000000000000"


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], str]:
    ledger = MemoryLedger()
    for run_id, name in ((RUN_ID, "demo"), (OTHER, "ward 7")):
        asyncio.run(ledger.start_run(run_row(run_id, name=name)))

    def with_memory(url: Secret, use: Callable[[MemoryLedger], Awaitable[Any]], timeout_s: float) -> Any:
        return asyncio.run(use(ledger))  # type: ignore[arg-type]

    monkeypatch.setattr(database, "open_database", lambda *_: Secret("url"))
    monkeypatch.setattr(database, "with_ledger", with_memory)
    return lambda run: database.find_stored(tmp_path, Secrets(), run, Config(), "--resume")[0].run_id


def test_a_run_is_named_by_its_id_a_beginning_of_it_its_name_or_as_the_last(find: Callable[[str], str], tmp_path: Path) -> None:
    assert {find(name) for name in (RUN_ID, RUN_ID.upper(), "7b1c6", "demo")} == {RUN_ID}
    assert find("ward 7") == OTHER
    RunFile.for_this_process(OTHER, "", "", None, None).write(tmp_path)
    assert find("last") == OTHER


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("7b1", "'7b1' can mean 2 runs: .*demo, 2026-01-02.*name one by its id"),
        ("dem", "no run has the id or the name 'dem'; `helix runs` lists"),
        ("last", "no run is known in HELIX_HOME"),
    ],
)
def test_a_name_that_is_of_no_run_or_of_two_is_refused(find: Callable[[str], str], name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"--resume: {problem}"):
        find(name)
