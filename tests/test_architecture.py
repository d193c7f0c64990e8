"""Who may import whom, how long a file may get, and what tests do not do: read off the syntax trees."""

import ast
import importlib
import re
import statistics
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. A room imports only rooms of lower layers; rooms of one layer do not know each other, except in the
# first and the last layer, which are open among themselves.
LAYERS = (
    {"records", "errors", "clock", "native", "theme", "_rust_gen", "config", "environment"},
    {"waiting", "providers", "queueing", "supervision", "control"},
    {"throttle", "scoring"},
    {"analysis", "metrics", "comparison"},
    {"sources", "backends", "storage"},
    {"producer", "analyzer", "sink"},
    {"results", "forecast"},
    {"actors"},
    {"session"},
    {"pipeline"},
    {"client"},
    {"cli", "run"},
)
OPEN_LAYERS = (0, len(LAYERS) - 1)
PURE = set().union(*LAYERS[1:4])
WITHOUT_RAY = LAYERS[5]
IMPURE_PACKAGES = {"ray", "groq", "psycopg", "aiohttp", "httpx", "streamlit"}

# The rooms that stand apart, and what they may import of helix_ray.
EMULATOR_MAY_IMPORT = {"emulator", "config", "errors", "environment"}
DASHBOARD_MAY_IMPORT = {"_dashboard", "client", "config", "errors", "records", "metrics", "theme"}
STARTS_THE_EMULATOR = {"pipeline", "cli"}

ONLY_IMPORTER = {"groq": "helix_ray/backends/groq_client.py", "psycopg": "helix_ray/storage/"}
ACTOR_SHELLS = ("producer", "queue", "throttle", "analyzer", "sink", "metrics", "control")
MAX_LINES, MAX_SHELL_LINES, MAX_MEDIAN_LINES = 400, 150, 150


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(path: Path) -> str:
    """``helix_ray/storage/rows.py`` lies in the room ``storage``, ``helix_ray/clock.py`` in ``clock``."""
    return path.relative_to(ROOT / "helix_ray").parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Absolute dotted names of everything that the file imports, inside functions too."""
    package = list(path.relative_to(ROOT).parts[:-1])
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def rooms_imported(path: Path) -> set[str]:
    names = (name.split(".") for name in imports_of(path))
    return {parts[1] for parts in names if parts[0] == "helix_ray" and len(parts) > 1} - {"__version__"}


def layer_of(room: str) -> int:
    return next((number for number, rooms in enumerate(LAYERS) if room in rooms), -1)


def may_import(room: str, other: str) -> bool:
    if room == other:
        return True
    if other == "emulator":
        return room in STARTS_THE_EMULATOR
    here, there = layer_of(room), layer_of(other)
    return 0 <= there < here or (here == there and here in OPEN_LAYERS)


def test_every_room_has_its_layer() -> None:
    rooms = {room_of(path) for path in sources("helix_ray")} - {"__init__", "emulator"}
    assert not rooms - set().union(*LAYERS)


def test_every_room_has_a_folder_of_unit_tests() -> None:
    rooms = {room_of(path) for path in sources("helix_ray") if (ROOT / "helix_ray" / room_of(path)).is_dir()}
    assert not [room for room in rooms - {"_dashboard"} if not [*(ROOT / "tests/unit" / room).glob("test_*.py")]]


def test_imports_point_down() -> None:
    wrong = [
        f"{name_of(path)} imports {other}"
        for path in sources("helix_ray")
        for other in rooms_imported(path)
        if room_of(path) not in ("__init__", "emulator") and not may_import(room_of(path), other)
    ]
    assert not wrong


def test_pure_rooms_know_neither_ray_nor_network_nor_database() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in sources(*(f"helix_ray/{room}" for room in sorted(PURE)))
        for name in imports_of(path)
        if name.split(".")[0] in IMPURE_PACKAGES
    ]
    assert not wrong


def test_engines_run_without_ray() -> None:
    engines = sources(*(f"helix_ray/{room}" for room in sorted(WITHOUT_RAY)))
    assert engines
    assert not [f"{name_of(path)} imports {name}" for path in engines for name in imports_of(path) if name.split(".")[0] == "ray"]


@pytest.mark.parametrize(
    ("folder", "allowed"), [("helix_ray/emulator", EMULATOR_MAY_IMPORT), ("dashboard", DASHBOARD_MAY_IMPORT)], ids=["emulator", "dashboard"]
)
def test_rooms_that_stand_apart(folder: str, allowed: set[str]) -> None:
    assert sources(folder)
    assert not [f"{name_of(path)} imports {room}" for path in sources(folder) for room in rooms_imported(path) - allowed]


def test_no_module_imports_itself_in_a_circle() -> None:
    paths = sources("helix_ray", "dashboard")
    dotted = [name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in paths]
    modules = {re.sub("^dashboard", "helix_ray._dashboard", name): path for name, path in zip(dotted, paths, strict=True)}
    graph = {
        module: {name if name in modules else name.rpartition(".")[0] for name in imports_of(path)} & modules.keys() - {module}
        for module, path in modules.items()
    }
    assert len([*TopologicalSorter(graph).static_order()]) == len(modules)  # CycleError names the circle


def test_the_product_knows_neither_tests_nor_benchmarks_and_tests_know_no_benchmark() -> None:
    benchmarks = {path.stem for path in sources("benchmarks")}
    assert benchmarks
    shipped = [(path, name.split(".")[0]) for path in sources("helix_ray", "dashboard") for name in imports_of(path)]
    tested = [(path, name.split(".")[0]) for path in sources("tests") for name in imports_of(path)]
    assert not [f"{name_of(path)} imports {top}" for path, top in shipped if top in benchmarks | {"benchmarks", "tests", "support"}]
    assert not [f"{name_of(path)} imports {top}" for path, top in tested if top in benchmarks | {"benchmarks"}]


@pytest.mark.parametrize("path", sources("benchmarks"), ids=lambda path: path.stem)
def test_benchmarks_import_what_there_is(path: Path) -> None:
    """No type checker reads them, and a benchmark that is run once a month should not be the first to notice a new name."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("helix_ray", "support"):
            module = importlib.import_module(node.module or "")
            unknown = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not [name for name in unknown if not hasattr(module, "__path__") or not find_spec(f"{node.module}.{name}")], node.module


@pytest.mark.parametrize("package", ONLY_IMPORTER)
def test_outside_services_have_one_importer(package: str) -> None:
    importers = {
        name_of(path) for path in sources("helix_ray", "dashboard") if any(name.split(".")[0] == package for name in imports_of(path))
    }
    assert importers
    assert not [name for name in importers if not name.startswith(ONLY_IMPORTER[package])]


def test_the_extension_and_the_page_are_imported_by_their_private_names_only() -> None:
    assert not [
        name_of(path)
        for path in sources("helix_ray", "dashboard", "tests", "benchmarks")
        for name in imports_of(path)
        if name.split(".")[0] in ("rust_gen", "dashboard")
    ]


def test_files_stay_short() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources("helix_ray", "dashboard", "tests", "benchmarks")}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_LINES}
    shells = {f"helix_ray/actors/{name}.py" for name in ACTOR_SHELLS}
    assert not {name: lines for name, lines in lengths.items() if name in shells and lines > MAX_SHELL_LINES}
    assert statistics.median(lines for name, lines in lengths.items() if name.startswith("helix_ray/")) <= MAX_MEDIAN_LINES


def test_every_actor_has_its_shell() -> None:
    assert not [name for name in ACTOR_SHELLS if not (ROOT / f"helix_ray/actors/{name}.py").is_file()]


def test_tests_neither_sleep_nor_skip() -> None:
    forbidden = {
        "time.sleep", "pytest.skip", "pytest.xfail", "pytest.importorskip",
        "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail",
    }  # fmt: skip
    wrong = []
    for path in sources("tests"):
        used = {ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)} | imports_of(path)
        wrong += [f"{name_of(path)} uses {name}" for name in sorted(used & forbidden)]
    assert not wrong
