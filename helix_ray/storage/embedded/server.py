"""The PostgreSQL server of a HELIX_HOME: the first process that needs it starts it, others join, the last to leave stops it.

A holder proves that it lives by a lock that the kernel frees with the process, so a killed process is never taken for a holder.
The server listens on a UNIX socket in a folder that only its owner may enter, and on no port.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from helix_ray.environment.home import OTHERS_MAY_PASS, closed_folder, open_lock, temporary_folder
from helix_ray.environment.logs import Event, event_logger
from helix_ray.environment.variables import forget_other_servers
from helix_ray.errors import DatabaseUnavailableError
from helix_ray.storage.embedded import binaries, postmaster

START_TIMEOUT_S = 120
"""Recovery after a crash may take a while; without one a start takes a fraction of a second."""

STOP_TIMEOUT_S = 30
SOCKET_PATH_BYTES = 100
"""Of a UNIX socket's path; the kernels' limits are 103 to 107."""

SHELL_CHARACTERS = '"$`\\\n'
"""pg_ctl hands its paths to a shell in double quotes, where these mean something."""

DATA_DIRS = Path("/var/lib/helix-throttle")
DATA_FOLDER, LOCK_FILE = "postgres", "postgres.lock"
_OWNER = "home"  # a file in each folder of `DATA_DIRS`: the home that it belongs to

_held: dict[Path, EmbeddedServer] = {}


def embedded_url(home: Path, keep_running: bool = False) -> str:
    """The libpq URL of the home's server, started if it is down and held by this process until `stop` or its end.

    ``keep_running``: it outlives this process, until the next holder leaves. DatabaseUnavailableError says why it cannot run.
    """
    home = home.expanduser().absolute()
    forget_other_servers()
    server = _held.get(home)
    if server is None:
        server = EmbeddedServer(home)
        server.join()
        _held[home] = server
        if not keep_running:
            atexit.register(stop, home)
    elif not server.is_running():
        server.join()
    return server.url


def held(home: Path) -> EmbeddedServer:
    """The server that this process got by `embedded_url`."""
    return _held[home.expanduser().absolute()]


def stop(home: Path) -> None:
    """Leave the home's server; the last holder on this machine stops it. Idempotent, also before `embedded_url`."""
    server = _held.pop(home.expanduser().absolute(), None)
    if server is not None:
        server.leave()


class EmbeddedServer:
    """The server in ``home``/postgres. ``settings`` are written to its configuration at each start."""

    def __init__(self, home: Path, settings: dict[str, str] | None = None) -> None:
        self.home = home
        self._base = home  # or a root_data_dir, when root's server may not enter the home
        self._holders = home / "postgres-holders"
        self._settings = settings or {}
        self._hold: int | None = None
        self._user: str | None = None
        self._programs = Path()

    @property
    def data(self) -> Path:
        return self._base / DATA_FOLDER

    @property
    def url(self) -> str:
        """Where the running server listens, read from its own file: another process may have chosen the socket's folder."""
        folder = (self.data / postmaster.PID_FILE).read_bytes().splitlines()[4]
        return f"postgresql://postgres@/postgres?host={quote(folder, safe='')}&port=5432"

    def join(self) -> None:
        """Start the server or join the running one. Idempotent. DatabaseUnavailableError says why it cannot."""
        try:
            self._join()
        except OSError as error:
            raise DatabaseUnavailableError(
                f"the embedded PostgreSQL cannot use {error.filename or self.home}: {error.strerror}; set HELIX_HOME to a folder "
                "that this user may write to"
            ) from None

    def _join(self) -> None:
        if set(str(self.home)) & set(SHELL_CHARACTERS):
            raise DatabaseUnavailableError(f"PostgreSQL's pg_ctl cannot handle any of {SHELL_CHARACTERS!r} in {self.home}; set HELIX_HOME")
        self.home.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.close(open_lock(self.home / LOCK_FILE))  # before all else: a home of another user is left as it is
        self._user = binaries.server_user()
        if self._user is not None:
            self._open_path()
        with self._lock():
            self._programs = binaries.programs(self._base)
            if not (self.data / "PG_VERSION").exists():
                self._create()
            self._check_version()
            self._take_hold()
            if not self.is_running():
                self._start()

    def leave(self) -> None:
        """Stop the server unless another living process holds it. Idempotent."""
        if self._hold is None:
            return
        with self._lock():
            os.close(self._hold)
            self._hold = None
            (self._holders / str(os.getpid())).unlink(missing_ok=True)
            if not self._others():
                self.halt()

    def is_running(self) -> bool:
        return postmaster.find(self.data) is not None

    def halt(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server in spite of other holders: "fast" orderly, "immediate" as a crash would."""
        postmaster.stop(self.data, signal.SIGINT if mode == "fast" else signal.SIGQUIT, STOP_TIMEOUT_S)

    def halt_unless_held(self) -> None:
        """Stop the server unless a living process holds it: those who held it may have been killed."""
        if self.is_running():
            with self._lock():
                if not self._others():
                    self.halt()

    def _run(self, name: str, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return binaries.run_program(self._programs / name, *arguments, user=self._user, timeout_s=timeout_s)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time creates, starts or stops."""
        lock = open_lock(self.home / LOCK_FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open_path(self) -> None:
        """As root the server runs as another user, who must be able to pass every folder above its data."""
        if closed_folder(self.home.parent) is not None:
            self._base = root_data_dir(self.home)
            return
        mode = stat.S_IMODE(self.home.stat().st_mode)
        if not mode & OTHERS_MAY_PASS:
            self.home.chmod(mode | OTHERS_MAY_PASS)  # the home is ours; to pass is not to list

    def _create(self) -> None:
        """Create it beside the final place, so that an interrupted creation leaves no half of a database behind."""
        if self.data.exists() and any(self.data.iterdir()):
            raise DatabaseUnavailableError(f"{self.data} is not a database of PostgreSQL; move it away, or set another HELIX_HOME")
        binaries.check_known()
        partial = self._base / "postgres.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(partial, *pwd.getpwnam(self._user)[2:4])
        arguments = ("-D", str(partial), "-U", "postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--no-locale")
        made = self._run("initdb", *arguments, timeout_s=START_TIMEOUT_S)
        if made.returncode != 0:
            raise DatabaseUnavailableError(f"the embedded PostgreSQL could not be created in {self.home}:\n{made.stdout.strip()[-1000:]}")
        with (partial / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude_if_exists 'helix.conf'\n")
        partial.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != str(binaries.MAJOR_VERSION):
            raise DatabaseUnavailableError(
                f"{self.data} was made by PostgreSQL {found}, and version {binaries.MAJOR_VERSION} is installed; "
                "upgrade it with pg_upgrade, or set another HELIX_HOME"
            )

    def _start(self) -> None:
        folder = self._socket_folder()
        if folder != self.data:
            self._make_socket_folder(folder)
        postmaster.forget_dead(self.data, folder)
        quoted = str(folder).replace('"', '""').replace("'", "''")
        settings = {"listen_addresses": "", "unix_socket_directories": f'"{quoted}"', **self._settings}
        lines = (f"{name} = '{value}'\n" for name, value in settings.items())
        (self.data / "helix.conf").write_text("".join(lines))
        (self.data / "helix.conf").chmod(0o644)
        log = self.data / "server.log"
        before = log.stat().st_size if log.exists() else 0
        arguments = ("-D", str(self.data), "-l", str(log), "-w", "-t", str(START_TIMEOUT_S), "start")
        started = self._run("pg_ctl", *arguments, timeout_s=START_TIMEOUT_S + 10)
        if started.returncode != 0:
            words = log.read_bytes()[before:].decode(errors="replace").strip() if log.exists() else ""
            raise DatabaseUnavailableError(
                f"the embedded PostgreSQL in {self.data} did not start; it said:\n{(words or started.stdout.strip())[-1500:]}"
            )

    def _socket_folder(self) -> Path:
        """The data folder itself, or one of its own where that path is too long for a socket, is not ASCII, which each program would
        decode in its own way, or would part a list of hosts.
        """
        path = str(self.data / postmaster.SOCKET_NAME)
        if len(path) <= SOCKET_PATH_BYTES and path.isascii() and "," not in path:
            return self.data
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        name = f"helix-postgres-{os.geteuid()}-{digest}"
        longest = SOCKET_PATH_BYTES - len(f"/{name}/{postmaster.SOCKET_NAME}")
        return temporary_folder(longest, for_others=self._user is not None) / name

    def _make_socket_folder(self, folder: Path) -> None:
        """In a folder that all users may write to, where another user could have made it first."""
        owner = os.geteuid() if self._user is None else pwd.getpwnam(self._user).pw_uid
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()):
            raise DatabaseUnavailableError(f"{folder} belongs to somebody else; remove it, or set HELIX_HOME to a shorter path")
        os.chown(folder, owner, -1)
        folder.chmod(0o700)

    def _take_hold(self) -> None:
        if self._hold is not None:
            return
        self._holders.mkdir(mode=0o700, exist_ok=True)
        self._hold = os.open(self._holders / str(os.getpid()), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._hold, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _others(self) -> bool:
        """Whether another living process holds the server. The marks of dead ones are cleared away."""
        alive = False
        for mark in self._holders.iterdir():
            try:
                with suppress(PermissionError), mark.open("r+") as file:  # another user's, who cannot hold this server
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mark.unlink()
            except BlockingIOError:
                alive = True
        return alive


def root_data_dir(home: Path) -> Path:
    """Where root's server keeps its data when its own user may not enter ``home``, for instance below ``/root``.

    ``home`` then holds a link, ``postgres``, to a folder below `DATA_DIRS`. A data folder without a home that points to it is an
    orphan, and is removed when the next one is made. OSError where the machine does not let root make a folder.
    """
    link = home / DATA_FOLDER
    if link.is_symlink():
        target = link.readlink().parent
        if target.parent == DATA_DIRS and _home_of(target) == home:
            target.mkdir(exist_ok=True)
            target.chmod(0o711)
            return target
        link.unlink()
    DATA_DIRS.mkdir(parents=True, exist_ok=True)
    DATA_DIRS.chmod(0o711)
    _remove_orphans()
    folder = Path(tempfile.mkdtemp(dir=DATA_DIRS))
    folder.chmod(0o711)
    (folder / _OWNER).write_bytes(os.fsencode(home))
    link.symlink_to(folder / DATA_FOLDER)
    return folder


def _home_of(folder: Path) -> Path | None:
    try:
        return Path(os.fsdecode((folder / _OWNER).read_bytes()))
    except OSError:
        return None


def _remove_orphans() -> None:
    for folder in DATA_DIRS.iterdir():
        home = _home_of(folder)
        link = None if home is None else home / DATA_FOLDER
        if link is None or not link.is_symlink() or link.readlink() != folder / DATA_FOLDER:
            shutil.rmtree(folder, ignore_errors=True)


LOOK_INTERVAL_S = 0.5
LONGEST_PAUSE_S = 4.0
"""Between two attempts to start it, so that it is back soon after what kept it from starting (a full disk) is mended."""

log = event_logger(__name__)


@contextmanager
def kept_running(home: Path) -> Iterator[None]:
    """Inside, the server that `embedded_url` started for this process is started again when it is down. Its address stays.

    A thread of its own does it: a recovery may take minutes, and the driver must stay awake.
    """
    server, ended = held(home), threading.Event()

    def keep() -> None:
        pause = LOOK_INTERVAL_S
        while not ended.wait(pause):
            if server.is_running():
                pause = LOOK_INTERVAL_S
                continue
            log.warning(Event.ERROR_HANDLED, what="the embedded PostgreSQL has died and is started again")
            try:
                server.join()
            except DatabaseUnavailableError as error:
                pause = min(2 * pause, LONGEST_PAUSE_S)
                log.warning(Event.ERROR_HANDLED, what="the embedded PostgreSQL did not come back", again_in_s=pause, exc_info=error)

    thread = threading.Thread(target=keep, name="embedded-postgresql", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
