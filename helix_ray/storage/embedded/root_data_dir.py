"""Where root's server keeps its data when its own user may not enter the home, for instance below ``/root``.

The home then holds a link, ``postgres``, to a folder below `DATA_DIRS`. A data folder without a home that points to it is an
orphan, and is removed when the next one is made.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

DATA_DIRS = Path("/var/lib/helix-throttle")
LINK = "postgres"
_OWNER = "home"  # a file in each data folder: the home that it belongs to


def root_data_dir(home: Path) -> Path:
    """The data folder of this home, made if there is none. OSError where the machine does not let root make one."""
    link = home / LINK
    if link.is_symlink():
        target = link.readlink().parent
        if target.parent == DATA_DIRS and _home_of(target) == home:
            target.mkdir(mode=0o711, exist_ok=True)
            return target
        link.unlink()
    DATA_DIRS.mkdir(mode=0o711, parents=True, exist_ok=True)
    _remove_orphans()
    folder = Path(tempfile.mkdtemp(dir=DATA_DIRS))
    folder.chmod(0o711)
    (folder / _OWNER).write_text(str(home))
    link.symlink_to(folder / LINK)
    return folder


def _home_of(folder: Path) -> Path | None:
    try:
        return Path((folder / _OWNER).read_text())
    except OSError:
        return None


def _remove_orphans() -> None:
    for folder in DATA_DIRS.iterdir():
        home = _home_of(folder)
        link = None if home is None else home / LINK
        if link is None or not link.is_symlink() or link.readlink() != folder / LINK:
            shutil.rmtree(folder, ignore_errors=True)
