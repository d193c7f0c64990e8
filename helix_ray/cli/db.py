"""``helix db``: the database's address, for any tool, a psql shell in it, and copies of it."""

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
from helix_ray.environment.secrets import DATABASE_URL, Secret, load_secrets
from helix_ray.environment.variables import for_psql
from helix_ray.errors import AttachError, ConfigError
from helix_ray.storage.embedded import EmbeddedServer, binaries, embedded_url

app = typer.Typer(
    help="The database of this HELIX_HOME, or of DATABASE_URL: its address, a shell in it, and copies of it.", no_args_is_help=True
)

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
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's, to cancel a statement
    try:
        ended = _run("psql", external, *context.args)
    finally:
        signal.signal(signal.SIGINT, previous)
    sys.exit(ended)


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it. A file that exists is refused.")],
    external: External = False,
) -> None:
    """Writes all stored runs to one file, as pg_dump's custom format. A live run may go on meanwhile."""
    if file.exists():
        raise ConfigError("helix db backup", [f"{file} exists; name another file, or remove it"])
    part = file.with_name(f"{file.name}.part")
    if code := _run("pg_dump", external, "--format=custom", "--schema=helix", "--no-owner", f"--file={part}"):
        part.unlink(missing_ok=True)
        sys.exit(code)
    part.rename(file)
    typer.echo(f"{file}: {file.stat().st_size:,} bytes; `helix db restore {file}` reads it")


@app.command("restore")
def restore(file: Annotated[Path, typer.Argument(help="A file of `helix db backup`.")], external: External = False) -> None:
    """Reads the runs of a backup into a database that has none: all of them, or, if that fails, none."""
    if not file.is_file():
        raise ConfigError("helix db restore", [f"{file} is not a file; name one that `helix db backup` wrote"])
    from helix_ray.storage.blocking import with_ledger  # noqa: PLC0415  (with psycopg; `helix db url` needs neither)

    url = Secret(_address(external, keep_running=True))
    if runs := with_ledger(url, lambda ledger: ledger.make_room()):
        raise ConfigError("helix db restore", [f"the database has {runs} runs; restore into one without, or delete them"])
    # an empty --dbname is the one of the environment; without the option it would print the script
    if code := _run("pg_restore", external, "--exit-on-error", "--single-transaction", "--no-owner", "--dbname=", str(file)):
        sys.exit(code)
    typer.echo("restored; `helix runs` lists the runs")


def _run(program: str, external: bool, *arguments: str) -> int:
    """Runs a program of PostgreSQL on the database, and returns its exit code. The address is on no command line."""
    from helix_ray.storage.postgres_session import libpq_environment  # noqa: PLC0415  (with psycopg; `helix db url` needs neither)

    address = libpq_environment(_address(external, keep_running=False))
    return subprocess.run(  # noqa: S603
        [str(_program(program)), *arguments],
        env={**for_psql(), **address},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # no threads here
        check=False,
    ).returncode


def _address(external: bool, *, keep_running: bool) -> str:
    if external:
        secrets = load_secrets(os.environ, Path(".env"))
        return secrets.require(DATABASE_URL, "`helix db --external` asks for that database").reveal()
    return embedded_url(helix_home(), keep_running)


def _program(name: str) -> Path:
    """The program of the embedded server's version, or else the one of this machine."""
    bundled = binaries.package_folder() / binaries.INSTALLATION / "bin" / name
    if os.access(bundled, os.X_OK):
        return bundled
    found = shutil.which(name)
    if found is None:
        raise AttachError(
            f"there is no {name} here: install PostgreSQL's client (package postgresql-client), or use `helix db url` with another tool"
        )
    return Path(found)
