"""HELIX_HOME: the folder that belongs to this user's runs, its lock, and the note that says where the live run is."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import psutil

from helix_ray.errors import HomeBusyError, StartError

RUN_FILE = "run.json"
LAST_RUN_FILE = "last_run.json"
LOCK_FILE = "lock"

Database = Literal["embedded", "external"]


def helix_home(environ: Mapping[str, str] = os.environ) -> Path:
    """HELIX_HOME, else ``.helix/`` in the working directory; absolute. It need not exist yet."""
    return Path(environ.get("HELIX_HOME") or ".helix").expanduser().resolve()


def make_home(home: Path) -> None:
    """Creates the folder for its owner alone. StartError when that is impossible.

    Root's may be passed through (not listed): the embedded PostgreSQL refuses to run as root and has a user of its own.
    """
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"HELIX_HOME {home} cannot be created: {error.strerror}; set HELIX_HOME to a folder that you may write to"
        ) from None


@dataclass(frozen=True, slots=True)
class RunFile:
    """Where the live run of a home is found: everything another process needs to attach to it."""

    ray_address: str  # host:port of Ray's control service
    namespace: str
    run_id: str
    dashboard_url: str | None  # Ray's
    token_path: str | None
    pid: int  # of the driver
    started_at: float  # Unix seconds
    page_url: str | None = None
    emulator_url: str | None = None  # of the run's own emulator, whose ledger is at /_ctl/summary
    database: Database = "embedded"  # where its rows are; its address is not noted, since it holds a password

    @classmethod
    def for_this_process(
        cls,
        run_id: str,
        ray_address: str,
        namespace: str,
        dashboard_url: str | None,
        token_path: Path | str | None,
        *,
        page_url: str | None = None,
        emulator_url: str | None = None,
        database: Database = "embedded",
    ) -> RunFile:
        started_at = psutil.Process().create_time()
        token = str(token_path) if token_path else None
        return cls(ray_address, namespace, run_id, dashboard_url, token, os.getpid(), started_at, page_url, emulator_url, database)

    def write(self, home: Path) -> None:
        """Whole or not at all, mode 0600."""
        make_home(home)
        descriptor, temporary = tempfile.mkstemp(dir=home, prefix=f"{RUN_FILE}.")  # mkstemp makes it 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(home / RUN_FILE)

    @classmethod
    def read(cls, home: Path) -> RunFile | None:
        """The note of the live or most lately crashed run; None when there is none or it is not ours to understand."""
        return cls._load(home / RUN_FILE)

    @classmethod
    def read_last(cls, home: Path) -> RunFile | None:
        """The note of the last run, live or over."""
        return cls.read(home) or cls._load(home / LAST_RUN_FILE)

    @staticmethod
    def remove(home: Path) -> None:
        """At the end of a run: the note moves aside, so that the page still knows which run was the last. Safe twice."""
        try:
            (home / RUN_FILE).replace(home / LAST_RUN_FILE)
        except FileNotFoundError:
            return

    def is_live(self) -> bool:
        """The driver still runs: the same process, not a later one with its number, and not a zombie."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started_at) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    @classmethod
    def _load(cls, path: Path) -> RunFile | None:
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        names = {field.name for field in fields(cls)}
        try:
            return cls(**{key: value for key, value in data.items() if key in names})
        except (TypeError, AttributeError):
            return None


class HomeLock:
    """One live run per home. A context manager; the lock falls with the process, however that ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """HomeBusyError if another process holds it."""
        make_home(self._home)
        # close-on-exec by default: a child that outlives the run must not hold its lock
        descriptor = os.open(self._home / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            live = RunFile.read(self._home)
            which = f"run {live.run_id} (process {live.pid})" if live is not None else "another run"
            raise HomeBusyError(
                f"{which} is live in {self._home}; wait for it, end it with `helix control drain`, or set HELIX_HOME to another folder"
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Safe twice and before acquire."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> HomeLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
