"""``helix configs``: the shipped configurations, to look at and to start from."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from helix_ray.environment.shipped import shipped_config, shipped_configs
from helix_ray.errors import ConfigError

app = typer.Typer(help="The shipped configurations: list them, print one, or copy one to begin your own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As `helix configs list` shows it.")]


@app.command("list")
def list_configs() -> None:
    """Names and purposes."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, path in shipped_configs().items():
        table.add_row(name, _purpose(path))
    Console(highlight=False).print(table)


@app.command()
def show(name: Name) -> None:
    """Prints one, comments included."""
    typer.echo(shipped_config(name).read_text(encoding="utf-8"), nl=False)


@app.command()
def copy(
    name: Name,
    path: Annotated[Path | None, typer.Argument(metavar="[PATH]", help="A file that does not exist yet. Default: ./NAME.yaml.")] = None,
) -> None:
    """Writes one to a file of yours. An existing file is never replaced."""
    source, target = shipped_config(name), path or Path(f"{name}.yaml")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise ConfigError("helix configs copy", [f"{target} exists already; name another file"]) from None
    except OSError as error:
        raise ConfigError("helix configs copy", [f"{target}: {error.strerror}"]) from None
    typer.echo(f"{target} is a copy of the shipped {source.name}. Run it: helix run {target}")


def _purpose(path: Path) -> str:
    """The first sentence of the comment that the file begins with."""
    comment = takewhile(lambda line: line.startswith("# "), path.read_text(encoding="utf-8").splitlines())
    text = " ".join(line[2:].strip() for line in comment)
    return text.partition(". ")[0].rstrip(".") + "."
