"""``python -m helix_ray.run [CONFIG]``: hands over to `helix_ray.cli.run`."""

from __future__ import annotations

import typer

from helix_ray.cli import guarded
from helix_ray.cli.run import run

if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name="python -m helix_ray.run")(run)
    guarded(app)
