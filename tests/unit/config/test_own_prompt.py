"""A prompt of the user's own, from a file."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from helix_ray.config import Config
from helix_ray.config.loading import load_config, parse_config
from helix_ray.errors import ConfigError

Load = Callable[..., Config]
OWN_PROMPT = "name: mine\nlayout: raw\ninstructions: |\n  Compare.\n"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, *overrides: str) -> Config:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return load_config(path, overrides)

    return load_text


def test_a_prompt_of_a_file_becomes_part_of_the_configuration(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(OWN_PROMPT)
    config = load("analyzer: {prompt: mine.yaml}")
    assert config == load("", "analyzer.prompt=mine.yaml")
    Path("mine.yaml").unlink()
    assert parse_config(json.loads(config.to_json()), "run 1") == config, "a resume needs no file"
    assert config.analyzer.prompt_name == "mine"
    Path("mine.yaml").write_text(OWN_PROMPT.replace("Compare", "Look"))
    before, after = config.results_identity(), load("analyzer: {prompt: mine.yaml}").results_identity()
    assert {key for key in before if before[key] != after[key]} == {"analyzer.prompt"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (OWN_PROMPT.replace("raw", "fancy"), "mine.yaml: line 2: analyzer.prompt.layout: input should be 'raw', 'spaced'"),
        (OWN_PROMPT + "temperature: 1\n", "mine.yaml: line 5: analyzer.prompt.temperature: unknown key"),
        ("name: mine\nlayout: raw\n", "analyzer.prompt.instructions: field required"),
        (OWN_PROMPT.replace("mine", "raw"), "mine.yaml: line 1: analyzer.prompt.name: 'raw' is a shipped prompt; choose another name"),
        ("- a\n", "mine.yaml: expected keys such as 'name:', found a list"),
        (None, "mine.yaml: no such file"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_named_with_file_line_and_key(
    text: str | None, problem: str, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(problem)):
        load("analyzer: {prompt: mine.yaml}")
