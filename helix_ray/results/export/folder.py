"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helix_ray.errors import InputError


@contextmanager
def new_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """A folder to fill beside ``target``; at the end of the block it takes that name, unless the block raised.

    InputError: ``target`` exists and holds something, and ``force`` is not set; or its parent cannot be written to.
    """
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; an export is a folder, so name another place with --output")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise InputError(f"{target}: is not empty; pass --force to replace it, or name another folder with --output")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None
    try:
        part.chmod(0o755)  # mkdtemp's 0700 is for secrets
        yield part
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
