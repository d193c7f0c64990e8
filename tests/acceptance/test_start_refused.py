"""Exit 2: one clear error, nothing started, nothing sent, nothing stored."""

import sys
import time
from pathlib import Path

import pytest
import typer

from fix_run import SECRETS, StartRun
from helix_ray.cli import guarded
from helix_ray.cli.run import run as run_command

BAD = {
    "unknown key": ("source: {cuont: 5}", "did you mean 'count'"),
    "wrong type": ("queue: {capacity: lots}", "queue.capacity"),
    "above the bound": ("queue: {capacity: 501}", "queue.capacity"),
    "duplicate key": ("run: {seed: 1}\nrun: {seed: 2}", "second time"),
    "not built yet": ("ray: {address: auto}", "ray.address"),
    "missing file": ("source: {kind: pairs, path: /nowhere/pairs.tsv}", "/nowhere/pairs.tsv"),
    "reads would leave": (
        "source: {kind: pairs, path: /nowhere/pairs.tsv}\nanalyzer: {backend: groq}",
        "source.allow_external",
    ),
    "unknown model": ("analyzer: {model: llama3-8b-8192}", "llama3-8b-8192"),
    "missing key": ("analyzer: {backend: groq}", "GROQ_API_KEY"),
    "missing database": ("sink: {database: external}", "DATABASE_URL"),
}


def assert_nothing_started(home: Path, output: str) -> None:
    assert not (home / "run.json").exists()
    assert not (home / "reports").exists()
    assert "Starting Ray" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize("case", BAD)
def test_a_bad_configuration_starts_nothing(
    case: str, passable_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command as the process calls it, without the process: that costs a second and is shown below."""
    text, expected = BAD[case]
    config, report = tmp_path / "bad.yaml", tmp_path / "report.json"
    config.write_text(text)
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HELIX_HOME", str(passable_home))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["helix_ray.run", str(config), "--report", str(report)])
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run_command)
    with pytest.raises(SystemExit) as ended:
        guarded(app)
    shown = "".join(capsys.readouterr())
    assert ended.value.code == 2, shown
    assert expected in shown
    assert not report.exists()
    assert_nothing_started(passable_home, shown)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/nowhere/logs"), "/nowhere/logs cannot be used: Permission denied"),
        (OSError(28, "No space left on device"), "the output cannot be written: No space left on device"),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    error: OSError, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["helix"])
    with pytest.raises(SystemExit) as ended:
        guarded(app)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(f"helix: {said}")


def test_a_bad_configuration_is_exit_2(start_run: StartRun, tmp_path: Path) -> None:
    """The process itself, refused before the home is locked; below one that is refused after that."""
    text, expected = BAD["unknown key"]
    config = tmp_path / "bad.yaml"
    config.write_text(text)
    run = start_run(config=config, embedded=True)
    code, report = run.finish()
    assert code == 2, run.output
    assert expected in run.output
    assert report == {}
    assert_nothing_started(run.home, run.output)


def test_an_unreachable_database_is_refused_within_ten_seconds(start_run: StartRun) -> None:
    url = "postgresql://someone:verysecret@127.0.0.1:1/none"
    began = time.monotonic()
    run = start_run("sink.database=external", env={"DATABASE_URL": url})
    code, report = run.finish()
    assert code == 2, run.output
    assert report == {}
    assert time.monotonic() - began < 30  # the promise is 10 s; a loaded machine starts Python slowly
    assert "verysecret" not in run.output
    assert_nothing_started(run.home, run.output)
