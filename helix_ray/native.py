"""The compiled extension, or what stands in its place when it is not built: an object that says so at the first use.

The one importer of `helix_ray._rust_gen` at run time. It lies below every room, so that sources, scoring and backends share one
generator, one normaliser and one aligner. Importing this module never fails: a missing extension is a StartError where a run
begins, and not an ImportError wherever a module happens to be loaded first.
"""

from __future__ import annotations

from typing import NoReturn

from helix_ray.errors import StartError

__all__ = ["rust"]


class Missing:
    """Every name of it raises StartError. Nothing ever takes the extension's place."""

    def __init__(self, cause: ImportError) -> None:
        self._cause = cause

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what pickle, copy and inspect ask of any object
            raise AttributeError(name)
        raise StartError(f"the Rust extension is not built: run `make demo` or `pip install .` ({self._cause})")


try:
    from helix_ray import _rust_gen as rust
except ImportError as error:
    rust = Missing(error)  # type: ignore[assignment]  # it has every name of the extension, and each raises
