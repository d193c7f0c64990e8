"""Where root's server keeps its data when its own user may not enter the home, for instance below ``/root``.

The home then holds a link, ``postgres``, to a folder below `SHELTERS`. A shelter whose home has gone, or points elsewhere, is
nobody's and is removed when the next one is made.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

SHELTERS = Path("/var/lib/helix-throttle")
LINK = "postgres"
_OWNER = "home"  # a file in each shelter: the home that it belongs to


def shelter_of(home: Path) -> Path:
    """The shelter of this home, made if there is none. OSError where the machine does not let root make one."""
    link = home / LINK
    if link.is_symlink():
        target = link.readlink().parent
        if target.parent == SHELTERS and _home_of(target) == home:
            target.mkdir(mode=0o711, exist_ok=True)
            return target
        link.unlink()
    SHELTERS.mkdir(mode=0o711, parents=True, exist_ok=True)
    _remove_orphans()
    shelter = Path(tempfile.mkdtemp(dir=SHELTERS))
    shelter.chmod(0o711)
    (shelter / _OWNER).write_text(str(home))
    link.symlink_to(shelter / LINK)
    return shelter


def _home_of(shelter: Path) -> Path | None:
    try:
        return Path((shelter / _OWNER).read_text())
    except OSError:
        return None


def _remove_orphans() -> None:
    for shelter in SHELTERS.iterdir():
        home = _home_of(shelter)
        link = None if home is None else home / LINK
        if link is None or not link.is_symlink() or link.readlink() != shelter / LINK:
            shutil.rmtree(shelter, ignore_errors=True)
