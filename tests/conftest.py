"""The plugins of the suite: every ``fix_*.py`` beside this file holds fixtures for one thing."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("all", max_examples=100)  # make test-extra
settings.register_profile("third", max_examples=34)  # make test
settings.load_profile("third")

pytest_plugins = sorted(path.stem for path in Path(__file__).parent.glob("fix_*.py"))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are named by their parameter and a number. All test processes must give a test the same name, and what gzip
    made holds the time at which it was made.
    """
    return argname if isinstance(val, bytes) else None
