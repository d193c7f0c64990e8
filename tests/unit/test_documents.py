"""Every file and folder of this project that a document names is there."""

import re
from pathlib import Path

import pytest

from test_architecture import LAYERS, ROOT, layer_of

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
LIKE_A_PATH = re.compile(r"(?<![\w./~{-])[A-Za-z_.][\w.-]*/(?:[\w.-]+/)*[\w.-]*")
TOP = {"helix_ray", "dashboard", "tests", "benchmarks", "configs", "deploy", "docs", "rust_gen", ".ci"}
SUFFIXES = {".py", ".rs", ".sql", ".md", ".yaml", ".toml", ".json", ".html"}

OF_A_RUN = {
    ".helix/",
    "logs/",
    "postgres/",
    "postgres-holders/",
    "reports/",
    "spool/",
    "benchmarks/results/",
    "HELIX_HOME/",
    "tables/",
    "figures/",
    "dist/",
}
"""Folders that a run, a comparison, a build or a benchmark makes."""
OF_OTHERS = {"doc/ref-impl/intermediate.md"}
"""Files of other projects."""


def code_of(text: str) -> list[str]:
    """What stands between backticks, and in blocks."""
    parts = text.split("```")
    return [*parts[1::2], *(span for prose in parts[::2] for span in re.findall(r"`([^`]+)`", prose))]


def paths_named_in(text: str) -> set[str]:
    """A folder ends in a slash. A file has a suffix that files of this project have, or lies in a folder of it."""
    found = {path for code in code_of(text) for path in LIKE_A_PATH.findall(code)}
    ours = {path for path in found if path.endswith("/") or Path(path).suffix in SUFFIXES or path.split("/")[0] in TOP}
    return {path for path in ours - OF_OTHERS if not path.startswith(tuple(OF_A_RUN))}


def names(document: Path) -> str:
    return document.name


def test_paths_are_found() -> None:
    block = "```\nhelix doctor configs/live.yaml --report reports/x.json\n```"
    text = f"`tests/unit/`, `queueing/`, a/b.py\n{block}\n`.ci/run`, `openai/gpt-oss-20b`"
    assert paths_named_in(text) == {"tests/unit/", "queueing/", ".ci/run", "configs/live.yaml"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_paths_exist(document: Path) -> None:
    """From the root or, for rooms, from ``helix_ray``."""
    named = paths_named_in(document.read_text(encoding="utf-8"))
    assert sorted(path for path in named if not ((ROOT / path).exists() or (ROOT / "helix_ray" / path).exists())) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_links_lead_somewhere(document: Path) -> None:
    links = set(re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")))
    assert sorted(link for link in links if "://" not in link and not (document.parent / link).exists()) == []


def test_documents_are_there() -> None:
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "architecture.md", "operations.md"} <= set(map(names, DOCUMENTS))


def test_the_table_of_rooms_is_that_of_the_import_law() -> None:
    """Rooms from the ground up, each in its layer. Modules beside the rooms are in the text above the table."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = [(int(layer), room) for layer, room in re.findall(r"^\| (\d+) \| `helix_ray/(\w+)/` \|", text, re.MULTILINE)]
    rooms = {room for layer in LAYERS for room in layer if (ROOT / "helix_ray" / room).is_dir()}
    assert [layer for layer, _ in rows] == sorted(layer_of(room) for room in rooms)
    assert rows == [(layer_of(room), room) for _, room in rows]
    assert {room for _, room in rows} == rooms
