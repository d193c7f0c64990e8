"""Helix-Throttle: DNA reads through a rate-limited, paid LLM API, exactly once and within budget."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("helix-throttle")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
