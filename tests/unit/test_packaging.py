"""Pins, targets and deployment files agree with each other and with the promises made about them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_every_requirement_is_pinned_within_its_range() -> None:
    project = PROJECT["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    pinned = pins()
    for text in [*project["dependencies"], *extras, *PROJECT["build-system"]["requires"]]:
        requirement = Requirement(text)
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_the_wheel_carries_the_configurations() -> None:
    """``helix_ray/_configs`` is a link to ``configs``; maturin follows it for files that ``include`` names."""
    assert (ROOT / "helix_ray/_configs").resolve() == ROOT / "configs"
    included = {entry["path"]: entry["format"] for entry in PROJECT["tool"]["maturin"]["include"]}
    assert set(included["helix_ray/_configs/*.yaml"]) == {"sdist", "wheel"}


def test_the_wheel_carries_the_page_and_no_other_top_level_package() -> None:
    """``helix_ray/_dashboard`` is a link to ``dashboard``."""
    assert (ROOT / "helix_ray/_dashboard").resolve() == ROOT / "dashboard"
    included = {entry["path"]: entry["format"] for entry in PROJECT["tool"]["maturin"]["include"]}
    assert set(included["helix_ray/_dashboard/*.py"]) == {"sdist", "wheel"}
    assert PROJECT["tool"]["maturin"]["python-packages"] == ["helix_ray"]


def test_make_explains_every_target() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert explained >= {"demo", "test", "test-all", "lint", "bench", "monitor", "live-check", "clean"}


def test_every_marker_that_the_default_run_leaves_out_is_registered_and_run_by_test_all() -> None:
    options = PROJECT["tool"]["pytest"]["ini_options"]
    registered = {marker.partition(":")[0] for marker in options["markers"]}
    left_out = set(re.findall(r"not (\w+)", options["addopts"]))
    extra = re.search(r"-m '([^']+)'", (ROOT / "Makefile").read_text())
    assert extra
    assert left_out == set(extra[1].split(" or ")) <= registered


def test_compose_publishes_to_this_machine_only_and_holds_no_password() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8501:8501"]
    assert COMPOSE["services"]["db"]["environment"]["POSTGRES_PASSWORD"].startswith("${HELIX_DB_PASSWORD:?")
    assert COMPOSE["services"]["helix"]["environment"]["DATABASE_URL"].startswith("postgresql://helix:${HELIX_DB_PASSWORD:?")
    assert COMPOSE["services"]["db"]["image"].startswith("postgres:18")


def test_image_runs_as_nobody_special_and_is_watched() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    final = lines[stages[-1] :]
    assert [line for line in final if line.startswith("USER ")] == ["USER 10001:10001"]
    assert not [line for line in final if "cargo" in line or "rust" in line]
    assert any("/_stcore/health" in line for line in final)
    assert any("HELIX_HOME=/data" in line for line in final)
    assert any("RAY_USAGE_STATS_ENABLED=0" in line for line in final)


def test_no_secret_reaches_the_image_or_git() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert "**/.env*" in ignored
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
