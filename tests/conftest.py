"""The plugins of the suite: every ``fix_*.py`` beside this file holds fixtures for one thing."""

from pathlib import Path

pytest_plugins = sorted(path.stem for path in Path(__file__).parent.glob("fix_*.py"))
