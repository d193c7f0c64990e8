"""Looking for secrets where none may be: in the memory of processes, in their environments and command lines, in files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil


def memory_of(process: psutil.Process) -> Iterator[bytes]:
    """What the process may write to, region by region."""
    with Path(f"/proc/{process.pid}/maps").open() as maps, Path(f"/proc/{process.pid}/mem").open("rb", 0) as memory:
        for line in maps:
            bounds, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, stop = (int(bound, 16) for bound in bounds.split("-"))
                memory.seek(start)
                try:
                    yield memory.read(stop - start)
                except OSError:
                    continue  # a region that is gone, or a device's


def shown_by(processes: Iterable[psutil.Process]) -> Iterator[bytes]:
    """Command lines and environments, as the kernel shows them."""
    for process in processes:
        for name in ("cmdline", "environ"):
            try:
                yield Path(f"/proc/{process.pid}/{name}").read_bytes()
            except OSError:
                continue  # it ended while being looked at


def files_in(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert files
        yield from (path.read_bytes() for path in files if path.exists())


def occurrences(canaries: list[bytes], texts: Iterable[bytes]) -> list[int]:
    counts = [0] * len(canaries)
    for text in texts:
        counts = [count + text.count(canary) for count, canary in zip(counts, canaries, strict=True)]
    return counts
