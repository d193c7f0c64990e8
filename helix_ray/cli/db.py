"""``helix db``: the database's address, for any tool, and a psql shell in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from helix_ray.environment.home import helix_home
from helix_ray.environment.secrets import DATABASE_URL, load_secrets
from helix_ray.environment.variables import for_psql
from helix_ray.errors import AttachError
from helix_ray.storage.embedded import EmbeddedServer, binaries, embedded_url

app = typer.Typer(help="The database of this HELIX_HOME, or of DATABASE_URL: its address, and a shell in it.", no_args_is_help=True)

External = Annotated[bool, typer.Option("--external", help="The database of DATABASE_URL instead of the embedded one of HELIX_HOME.")]


@app.command("url")
def url(
    only: Annotated[bool, typer.Option("--database-url-only", help="Print the URL and nothing else, for scripts.")] = False,
    external: External = False,
) -> None:
    """Prints the libpq URL. Starts the embedded server when it is down; it then runs until `helix db stop` or the end of a run."""
    found = _address(external, keep_running=True)
    typer.echo(found)
    if not only:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            "The tables are in schema helix; docs/output.md describes them. `helix db stop` stops an embedded server.", style="dim"
        )


@app.command("stop")
def stop() -> None:
    """Stops the embedded server, unless a run or a page still uses it."""
    server = EmbeddedServer(helix_home())
    if not (server.data / "PG_VERSION").exists():
        return
    server.join()
    server.leave()
    if server.is_running():
        raise AttachError("the embedded PostgreSQL is in use by another process of helix-throttle and goes on")


@app.command("shell", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(context: typer.Context, external: External = False) -> None:
    """Opens psql; further arguments are passed on to it, as in: helix db shell -- -c "select * from helix.run_summary"."""
    from helix_ray.storage.postgres_session import libpq_environment  # noqa: PLC0415  (with psycopg; `helix db url` needs neither)

    address = _address(external, keep_running=False)
    psql = _psql()
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's, to cancel a statement
    try:
        ended = subprocess.run(  # noqa: S603
            [str(psql), *context.args],
            env={**for_psql(), **libpq_environment(address)},  # the address is on no command line
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # no threads here
            check=False,
        )
    finally:
        signal.signal(signal.SIGINT, previous)
    sys.exit(ended.returncode)


def _address(external: bool, *, keep_running: bool) -> str:
    if external:
        secrets = load_secrets(os.environ, Path(".env"))
        return secrets.require(DATABASE_URL, "`helix db --external` asks for that database").reveal()
    return embedded_url(helix_home(), keep_running)


def _psql() -> Path:
    """The psql of the embedded server's version, or else the one of this machine."""
    bundled = binaries.package_folder() / binaries.INSTALLATION / "bin" / "psql"
    if os.access(bundled, os.X_OK):
        return bundled
    found = shutil.which("psql")
    if found is None:
        raise AttachError(
            "there is no psql here: install PostgreSQL's client (package postgresql-client), or use `helix db url` with another tool"
        )
    return Path(found)
