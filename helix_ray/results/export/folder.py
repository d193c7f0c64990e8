"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pysam.utils import SamtoolsError

from helix_ray.errors import InputError

MANIFEST = "manifest.json"
"""What makes a folder an export, and so replaceable."""


@contextmanager
def new_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """A folder to fill beside ``target``; at the end of the block it takes that name, unless the block raised.

    With ``force`` an earlier export is replaced, and nothing else: it goes only when its successor stands. InputError:
    ``target`` holds something that may not be replaced, or writing failed.
    """
    target = target.absolute()
    _check(target, force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None
    try:
        part.chmod(0o755)  # mkdtemp's 0700 is for secrets
        yield part
        _put(part, target)
    except (OSError, SamtoolsError) as error:
        raise InputError(f"{target}: writing failed ({error}); nothing was left behind: is the disk full?") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)  # gone already when all went well


def _check(target: Path, force: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is a {'link' if target.is_symlink() else 'file'}; an export is a folder, so name another place")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not force:
        raise InputError(f"{target}: is not empty; pass --force to replace an earlier export, or name another folder with --output")
    if not (target / MANIFEST).is_file() or target in (Path.cwd(), *Path.cwd().parents):
        raise InputError(f"{target}: is not an earlier export (it holds no {MANIFEST}), so it is not replaced; name another folder")


def _put(part: Path, target: Path) -> None:
    if not target.exists():
        part.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / target.name)
    part.rename(target)
    shutil.rmtree(old)
