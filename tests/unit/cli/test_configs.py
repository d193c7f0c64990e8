"""``helix configs`` and ``helix --version``."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helix_ray import __version__
from helix_ray.cli import app
from helix_ray.config.loading import load_config
from helix_ray.environment.shipped import shipped_config, shipped_configs
from helix_ray.errors import ConfigError


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_names_each_with_its_purpose() -> None:
    lines = said("configs", "list").splitlines()
    named = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert named == list(shipped_configs())
    assert named[0] == "endless", "the one to try first"
    assert all(len(line.split()) > 3 for line in lines if line.split()[0] in named)


def test_show_prints_the_file_as_it_is() -> None:
    assert said("configs", "show", "demo") == shipped_config("demo").read_text(encoding="utf-8")


def test_a_copy_loads_as_the_original_and_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "live.yaml is a copy of the shipped live.yaml" in said("configs", "copy", "live")
    assert load_config(tmp_path / "live.yaml") == load_config(shipped_config("live"))
    (tmp_path / "mine.yaml").write_text("mine")
    for target, problem in (("mine.yaml", "exists already"), ("no/such/folder.yaml", "No such file or directory")):
        error = CliRunner().invoke(app, ["configs", "copy", "demo", target]).exception
        assert isinstance(error, ConfigError)
        assert problem in str(error)
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="no configuration is named 'dmo'; there are endless, baseline, demo, "):
        shipped_config("dmo")


def test_the_version_names_what_defines_results() -> None:
    assert re.fullmatch(rf"helix-throttle {re.escape(__version__)}, generator \S+, scorer \d+, schema \d+\n", said("--version"))


def test_there_are_at_most_fourteen_commands_and_each_explains_itself() -> None:
    names = re.findall(r"^│ ([a-z][a-z-]+)  ", said("--help"), re.MULTILINE)
    assert {"run", "configs", "control", "db"} <= set(names)
    assert len(names) <= 14
    for name in names:
        assert "Usage:" in said(name, "--help")
