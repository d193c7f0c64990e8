"""The option that names the run of a Ray cluster in place of the run of this HELIX_HOME."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from helix_ray.client import CLUSTER


def use_cluster(address: str | None) -> str | None:
    """Makes the clients of this process, and of its children, look there."""
    if address is not None:
        os.environ[CLUSTER] = address
    return address


RunOnCluster = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT[/NAMESPACE]",
        envvar=CLUSTER,
        callback=use_cluster,
        is_eager=True,
        help="The run of this Ray cluster instead, asked from one of its nodes.",
    ),
]
