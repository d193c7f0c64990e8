"""Help, versions, configurations, the database's address and the lack of a live run cost no more than they must."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helix_ray.cli import COMMANDS, load
from support.imported import HEAVY, PROFILED, imported

HELIX = ("-c", "from helix_ray.cli import main; main()")
CHEAP = {
    "help": (0, *HELIX, "--help"),
    "versions": (0, *HELIX, "--version"),
    "configs list": (0, *HELIX, "configs", "list"),
    "configs show": (0, *HELIX, "configs", "show", "demo"),
    "configs copy": (0, *HELIX, "configs", "copy", "demo"),
    "db url": (0, *HELIX, "db", "url", "--external"),
    "status": (1, *HELIX, "status"),
    "control": (1, *HELIX, "control", "pause"),
    "run": (0, *HELIX, "run", "--help"),
    "module": (0, "-m", "helix_ray.run", "--help"),
}


@pytest.mark.parametrize("command", CHEAP)
def test_a_cheap_command_imports_nothing_heavy(command: str, tmp_path: Path) -> None:
    code, *arguments = CHEAP[command]
    environment = {**os.environ, **PROFILED, "HELIX_HOME": str(tmp_path), "DATABASE_URL": "postgresql://nobody@nowhere/none"}
    ended = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert not imported(ended.stderr) & (HEAVY | {"ray"})


@pytest.mark.parametrize("name", [name for name, text in COMMANDS.items() if text])
def test_the_help_lists_each_command_with_the_first_line_of_its_own(name: str) -> None:
    assert inspect.cleandoc(load(name).help).splitlines()[0] == COMMANDS[name]
