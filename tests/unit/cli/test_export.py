"""``helix export`` from a configuration: what it writes, and what it refuses before it writes anything."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helix_ray.cli import app
from helix_ray.errors import ConfigError, InputError

CONFIG = "source: {count: 120, batch_size: 50, mutation: {preset: wgsim}}\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELIX_HOME", str(tmp_path / "home"))
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    return path


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["export", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_reads_are_generated_without_a_run(config: Path, tmp_path: Path) -> None:
    printed = invoke("--config", str(config), "--set", "source.count=70", "--output", "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"]["reads"] == 70
    assert (manifest["run_id"], manifest["config"]["source"]["mutation"]["preset"]) == (None, "wgsim")
    errors = manifest["counts"]["sequencing_errors"]
    assert errors > 0
    assert f"out: 70 reads\n{manifest['counts']['variants']} true variants, {errors} sequencing errors" in printed
    assert not (tmp_path / "home").exists()


def test_the_same_reads_are_the_same_bytes(config: Path, tmp_path: Path) -> None:
    invoke("--config", str(config), "--output", "a")
    invoke("--config", str(config), "--set", "source.batch_size=7", "--output", "b")
    for name in ("truth.vcf.gz", "errors.vcf.gz", "reads.fastq.gz", "reference.fa", "regions.bed"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "x", "--config", "run.yaml"], "give either --run or --config, not both"),
        (["--set", "source.count=3"], "--set: only has a meaning with --config"),
        (["--config", "run.yaml", "--set", "source.count=null"], "source.count: null would export for ever"),
        (["--config", "run.yaml", "--coordinates", "reference"], "the windows were not cut from a reference"),
        ([], "no run is known in HELIX_HOME"),
        (["--run", "17"], "--run: no run has the id or the name '17'"),
        (["--config", "run.yaml", "--output", "run.yaml"], "run.yaml: is a file; an export is a folder"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing_behind(config: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert config.exists()
    with pytest.raises((ConfigError, InputError), match=message):
        invoke(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]
