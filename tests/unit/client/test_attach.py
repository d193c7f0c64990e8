"""Under which settings the client lets Ray be imported. Ray itself stands aside for a module that notes what it was told."""

import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helix_ray.client.client import RECONNECT, RECONNECT_TIMEOUT_S, Link
from helix_ray.environment.run_file import RunFile

RUN = RunFile.for_this_process("run-1", "127.0.0.1:1", "helix", None, "/home/ray_token")
SETTINGS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/home/ray_token", RECONNECT: RECONNECT_TIMEOUT_S}
STAND_IN = """
import importlib
import os
imported_under = dict(os.environ)
joined = []
exceptions = type("exceptions", (), {"RayError": OSError})
is_initialized = lambda: False
init = lambda **options: joined.append(options["address"])
"""


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray is imported and none of its settings is there; all of it comes back afterwards."""
    (tmp_path / "ray.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ray")
    for name in (*SETTINGS, "RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)


def test_the_settings_are_there_before_ray_is_imported() -> None:
    Link(RUN).connect()
    ray: Any = sys.modules["ray"]
    assert ray.imported_under.items() >= SETTINGS.items()
    assert ray.joined == ["127.0.0.1:1"]


def test_a_ray_that_was_there_before_is_told_to_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("ray")  # the one that stands in

    told: list[str] = []
    loader = SimpleNamespace(reset_cache=lambda: told.append("token"))
    raylet = SimpleNamespace(
        Config=SimpleNamespace(initialize=lambda _: told.append("settings")),
        AuthenticationTokenLoader=SimpleNamespace(instance=lambda: loader),
    )
    monkeypatch.setitem(sys.modules, "ray._raylet", raylet)
    link = Link(RUN)
    link.connect()
    assert told == ["settings", "token"]
    assert os.environ.items() >= SETTINGS.items()
    Link(RUN).connect()
    assert told == ["settings", "token"], "what is right already is left alone"
    assert sys.modules["ray"].joined == ["127.0.0.1:1"] * 2
