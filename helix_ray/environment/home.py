"""HELIX_HOME: the folder that belongs to this user's runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from helix_ray.errors import StartError


def helix_home(environ: Mapping[str, str] = os.environ) -> Path:
    """HELIX_HOME, else ``.helix/`` in the working directory; absolute. It need not exist yet."""
    return Path(environ.get("HELIX_HOME") or ".helix").expanduser().resolve()


def make_home(home: Path) -> None:
    """Create the folder with rights for its owner only. StartError when that is impossible.

    Other users may pass through root's folder, not list it: the embedded PostgreSQL refuses to run as root and has a user of its own.
    """
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"HELIX_HOME {home} cannot be created: {error.strerror}; set HELIX_HOME to a folder that you may write to"
        ) from None


def belongs_to(path: Path) -> str:
    """For the end of an error message: whose file it is and what to do, when it is another user's."""
    try:
        if path.stat().st_uid == os.geteuid():
            return ""
        return f"; it belongs to {path.owner()}: run as that user, or set HELIX_HOME to a folder of yours"
    except (OSError, KeyError):
        return "; set HELIX_HOME to a folder of yours"
