"""HELIX_HOME: the folder that belongs to this user's runs."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from helix_ray.errors import StartError

OTHERS_MAY_PASS = 0o001


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
    for seen in (path, path.parent):  # the folder, where the path may not be looked at
        with suppress(OSError):
            owner = seen.stat().st_uid
            if owner != os.geteuid():
                break
            if seen == path:
                return ""
    else:
        return "; set HELIX_HOME to a folder of yours"
    name = f"user {owner}"
    with suppress(KeyError):
        name = pwd.getpwuid(owner).pw_name
    return f"; it belongs to {name}: run as that user, or set HELIX_HOME to a folder of yours"


def open_lock(path: Path) -> int:
    """The descriptor of a lock file in a home, made if need be.

    StartError: it cannot be opened, or is another user's. Root could use it, and would leave files behind that shut its owner out.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"{path} cannot be opened: {error.strerror}{belongs_to(path)}") from None
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise StartError(f"{path.parent} cannot be used{belongs_to(path)}")
    return descriptor


def temporary_folder(most_bytes: int, for_others: bool = False) -> Path:
    """TMPDIR, or /tmp or /var/tmp where its path is longer than ``most_bytes`` or, ``for_others``, closed to other users; or StartError."""
    with suppress(FileNotFoundError):  # no folder can be written to
        for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
            passable = not for_others or closed_folder(folder) is None
            if len(os.fsencode(folder)) <= most_bytes and passable and os.access(folder, os.W_OK | os.X_OK):
                return folder
    raise StartError(f"there is no folder for sockets: set TMPDIR to a shorter path, of at most {most_bytes} bytes, that can be written to")


def closed_folder(path: Path) -> Path | None:
    """The topmost folder on the way to ``path``, itself included, that other users may not pass; None when they may."""
    return next((part for part in [*reversed(path.parents), path] if not part.stat().st_mode & OTHERS_MAY_PASS), None)
