"""The shipped configurations load, and configs/demo.yaml explains every key with its true default."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from helix_ray.config import Backend, Config, SourceKind
from helix_ray.config.loading import load_config, parse_config
from helix_ray.control.desired import spike_refusal
from helix_ray.records import DesiredState

CONFIGS = Path(__file__).parents[3] / "configs"
SHIPPED = ["baseline", "demo", "endless", "fastq", "groq_developer", "groq_free", "live", "openai", "self_hosted"]


def keys_of(tree: dict[str, Any], model: type[Any], path: str = "") -> dict[str, Any]:
    """The dotted keys of a configuration tree; a mapping that is no section is one value."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        section = model.model_fields[key].annotation
        inner = keys_of(value, section, f"{path}{key}.") if hasattr(section, "model_fields") else {f"{path}{key}": value}
        found |= inner
    return found


def test_these_are_all() -> None:
    assert sorted(path.stem for path in CONFIGS.iterdir()) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_loads_and_reads_back(name: str) -> None:
    config = load_config(CONFIGS / f"{name}.yaml")
    assert parse_config(json.loads(config.to_json()), name) == config


@pytest.mark.parametrize("name", SHIPPED)
def test_opens_with_what_it_is_for(name: str) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text()
    assert all(len(line) <= 140 for line in text.splitlines())
    assert text.startswith("# ")


def test_demo_holds_every_key() -> None:
    shipped = yaml.safe_load((CONFIGS / "demo.yaml").read_text())
    assert list(keys_of(shipped, Config)) == list(keys_of(Config().model_dump(mode="json"), Config))


def test_demo_explains_every_key_with_its_true_default() -> None:
    comment = ""
    stated: dict[str, str] = {}
    path: list[str] = []
    for line in (CONFIGS / "demo.yaml").read_text().splitlines():
        if match := re.fullmatch(r"( *)# ?(.*)", line):
            comment += " " + match[2]
            continue
        if match := re.match(r"( *)(\w+):(.*)", line):
            path = [*path[: len(match[1]) // 2], match[2]]
            if match[3]:
                stated[".".join(path)] = comment
        comment = ""
    defaults = keys_of(Config().model_dump(mode="json"), Config)
    assert set(stated) == set(defaults)
    for key, default in defaults.items():
        found = re.search(r"Default (.+)\.$", stated[key])
        assert found, key
        assert yaml.safe_load(found[1]) == default, key


def test_demo_differs_from_the_defaults_only_where_it_says_so() -> None:
    demo = load_config(CONFIGS / "demo.yaml")
    assert demo == Config().model_copy(
        update={
            "emulator": Config().emulator.model_copy(
                update={"requests_per_minute": 6000, "tokens_per_minute": 1_250_000, "latency_scale": 0.5},
            )
        }
    )


def test_what_each_is_for() -> None:
    loaded = {name: load_config(CONFIGS / f"{name}.yaml") for name in SHIPPED}
    assert {name: config.analyzer.backend for name, config in loaded.items()} == {
        "baseline": Backend.ALIGNER,
        "demo": Backend.EMULATOR,
        "endless": Backend.EMULATOR,
        "fastq": Backend.EMULATOR,
        "groq_developer": Backend.GROQ,
        "groq_free": Backend.GROQ,
        "live": Backend.GROQ,
        "openai": Backend.GROQ,
        "self_hosted": Backend.GROQ,
    }
    endless = loaded["endless"]
    assert (endless.source.count, spike_refusal(DesiredState(), endless.source.rate_per_s)) == (None, None), "it can be operated"
    assert loaded["fastq"].source.kind is SourceKind.FASTQ
    assert not any(config.source.allow_external for config in loaded.values())
    assert all(config.throttle.max_cost_usd <= 1 for config in loaded.values() if config.analyzer.backend is Backend.GROQ)
