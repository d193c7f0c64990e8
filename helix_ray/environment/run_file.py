"""The file in HELIX_HOME that says where the live run, or the last one, is found."""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import psutil

from helix_ray.environment.home import belongs_to, make_home
from helix_ray.environment.processes import Driver
from helix_ray.errors import AttachError

RUN_FILE = "run.json"
LAST_RUN_FILE = "last_run.json"

Database = Literal["embedded", "external"]


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
    emulator_url: str | None = None  # of the run's own emulator, whose ledger is at /_ctl/summary
    database: Database = "embedded"  # where its rows are; its address is not written here, since it holds a password

    @classmethod
    def for_this_process(
        cls,
        run_id: str,
        ray_address: str,
        namespace: str,
        dashboard_url: str | None,
        token_path: Path | str | None,
        *,
        emulator_url: str | None = None,
        database: Database = "embedded",
    ) -> RunFile:
        return cls(
            ray_address=ray_address, namespace=namespace, run_id=run_id, dashboard_url=dashboard_url,
            token_path=str(token_path) if token_path else None, pid=os.getpid(), started_at=psutil.Process().create_time(),
            emulator_url=emulator_url, database=database,
        )  # fmt: skip

    @classmethod
    def of_cluster(cls, cluster: str) -> RunFile:
        """Of the run that lives at ``HOST:PORT[/NAMESPACE]``, whichever it is; its driver is no process of this machine."""
        address, _, namespace = cluster.partition("/")
        if not re.fullmatch(r"[^\s/]+:\d{1,5}", address):
            raise AttachError(f"{cluster}: a cluster is named as HOST:PORT or HOST:PORT/NAMESPACE, with the port of Ray's control service")
        return cls(address, namespace or "helix", "", None, os.environ.get("RAY_AUTH_TOKEN_PATH"), 0, 0.0, database="external")

    def write(self, home: Path) -> None:
        """Write the file atomically, with mode 0600."""
        make_home(home)
        descriptor, temporary = tempfile.mkstemp(dir=home, prefix=f"{RUN_FILE}.")  # mkstemp makes it 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(home / RUN_FILE)

    @classmethod
    def read(cls, home: Path) -> RunFile | None:
        """The file of the live run, or of the last one if it crashed. None when it is missing or cannot be understood.

        AttachError when it is another user's, or the home is no folder.
        """
        return cls._load(home / RUN_FILE)

    @classmethod
    def read_last(cls, home: Path) -> RunFile | None:
        """The file of the last run, live or over."""
        return cls.read(home) or cls._load(home / LAST_RUN_FILE)

    @staticmethod
    def remove(home: Path) -> None:
        """At the end of a run: rename the file, so that the page still finds the last run. Idempotent."""
        with suppress(FileNotFoundError):
            (home / RUN_FILE).replace(home / LAST_RUN_FILE)

    def is_live(self) -> bool:
        """Whether the driver still runs: the same process, not a later one with its number, and not a zombie."""
        return Driver(self.pid, self.started_at).is_alive()

    @classmethod
    def _load(cls, path: Path) -> RunFile | None:
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
            names = {field.name for field in fields(cls)}
            return cls(**{key: value for key, value in data.items() if key in names})
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return None
        except OSError as error:
            raise AttachError(f"{path} cannot be read: {error.strerror}{belongs_to(path)}") from None
