"""The environment of each part that is started: made from nothing but what the part needs.

A shell, conda, Slurm, Nextflow, `uv run`, a Ray job around a run or a profile for another PostgreSQL set variables that would send
such a part elsewhere, or keep it from starting. They stay outside. So do secrets, except from the page, which starts runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import helix_ray
from helix_ray.environment.secrets import KEY_SUFFIX, NAMES

# A name that ends with * is the beginning of one.
_PROGRAM = ("PATH", "TMPDIR")
_USER = (*_PROGRAM, "HOME", "USER", "LOGNAME", "TZ", "LANG", "LANGUAGE", "LC_*", "LOCPATH")
# The interpreter's libraries, and where it finds code: of both this process has proved that they are right.
_PYTHON = (
    *_USER, "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH",
    "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "HELIX_HOME",
)  # fmt: skip
# Analyzers ask a provider, sinks write to a database, producers read CRAM files; all are processes of Ray.
_NETWORK = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS",
    "KRB5*", "PG*", "REF_PATH", "REF_CACHE",
)  # fmt: skip
_TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")
_PSQL = ("PAGER", "LESS", "LESSCHARSET", "EDITOR", "VISUAL", "PSQL_*", "XDG_*", "SSL_CERT_*", "KRB5*", "PG*")

OF_ANOTHER_SERVER = (
    "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY",
)  # fmt: skip
"""Variables of libpq that an address with these parts overrides, or that mean nothing on a UNIX socket."""


def for_postgres(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of the embedded PostgreSQL and its programs, which carry their libraries with them."""
    wrapper = ("LD_PRELOAD", "NSS_WRAPPER_*") if "NSS_WRAPPER_PASSWD" in environ else ()  # in a container it may name the user
    return {**_kept(environ, (*_PROGRAM, *wrapper)), "LC_ALL": "C", "TZ": "UTC"}


def for_python(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of a process of ours that uses neither network nor Ray; it finds this package even where it was never installed."""
    kept = _kept(environ, _PYTHON)
    paths = [str(Path(helix_ray.__file__).resolve().parents[1]), kept.get("PYTHONPATH", "")]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def for_ray(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of Ray's processes, after `set_for_ray`."""
    return _kept(environ, (*_PYTHON, *_NETWORK, "RAY_*"))


def for_page(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of the page, with all that a run which is started there reads."""
    return {**_kept(environ, (*_NETWORK, *_TERMINAL, "HELIX_*"), secrets=True), **for_python(environ)}


def for_psql(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of a shell in the database, which is the user's own; without PSQLRC, and the address is to be added."""
    return _kept(environ, (*_USER, *_TERMINAL, *_PSQL))


def set_for_ray(**settings: str) -> None:
    """Give Ray these settings in this process and no others; before ``import ray``, which reads them.

    Below `uv run`, Ray would start its workers by uv, with a copy of the working directory.
    """
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]
    os.environ.update(settings, RAY_USAGE_STATS_ENABLED="0", RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")


def forget_other_servers() -> None:
    """Leave of libpq's variables, in this process, only those that cannot keep it from the embedded PostgreSQL."""
    for name in [name for name in os.environ if name.startswith("PG") and name not in OF_ANOTHER_SERVER]:
        del os.environ[name]


@contextmanager
def only(environment: Mapping[str, str]) -> Iterator[None]:
    """Inside, this process has this environment, for what is started with a copy of it."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.update(before)


def _kept(environ: Mapping[str, str], names: tuple[str, ...], secrets: bool = False) -> dict[str, str]:
    beginnings = tuple(name[:-1] for name in names if name.endswith("*"))

    def kept(name: str) -> bool:
        if name.removesuffix("_FILE").endswith((*NAMES, KEY_SUFFIX)):
            return secrets
        return (name.upper() if name.endswith("_proxy") else name) in names or name.startswith(beginnings)

    return {name: value for name, value in environ.items() if kept(name)}
