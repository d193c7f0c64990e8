"""``helix monitor``: serves the live page on this machine and prints the code that unlocks its controls.

Unlike a run, the page's process keeps GROQ_API_KEY and DATABASE_URL in its environment: a run that is started on the page inherits
them (it also reads ``.env`` of the working directory), and the page needs DATABASE_URL to show a run of an external database. It
shows neither: viewers get snapshots, error pages carry no details, and both are cut out of the last lines of a run that could not
start. No other process gets the control code or HELIX_CONTROL_TOKEN.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from helix_ray.client import CLUSTER, CONTROL_CODE, control_token, helix_home
from helix_ray.environment.secrets import HELIX_CONTROL_TOKEN
from helix_ray.environment.variables import for_page
from helix_ray.errors import MissingSecretError, StartError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def monitor(
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Port of the page.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on. Anything but loopback needs HELIX_CONTROL_TOKEN.")] = "127.0.0.1",
    allowed_host: Annotated[list[str] | None, typer.Option(help="A further host name under which the page may be asked for.")] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT[/NAMESPACE]", envvar=CLUSTER, help="Show the run of this Ray cluster, from one of its nodes."),
    ] = None,
) -> None:
    """Serves the live page. Watching needs nothing; commands need the code that is printed here, or HELIX_CONTROL_TOKEN.

    The code unlocks one browser at a time, HELIX_CONTROL_TOKEN as many as one likes. A browser stays in control until it is closed,
    control is given up there, 12 hours pass without a command, or the page ends.
    """
    token = control_token()
    if token is None and address not in LOOPBACK:
        raise MissingSecretError(
            f"the page would listen on {address}, but {HELIX_CONTROL_TOKEN} is not set; set it in the environment or in .env, "
            "or listen on 127.0.0.1"
        )
    check_free(address, port)
    environment = {**for_page(), **settings(port, address, list(allowed_host or ())), "HELIX_HOME": str(helix_home())}
    if ray_address is not None:
        environment[CLUSTER] = ray_address
    print(f"Page: http://{'localhost' if address in LOOPBACK else address}:{port}")
    if token is None:
        environment[CONTROL_CODE] = code = secrets.token_urlsafe(9)
        print(f"Control code (for one browser at a time): {code}")
    else:
        environment[HELIX_CONTROL_TOKEN] = token
        print(f"Controls are unlocked by {HELIX_CONTROL_TOKEN}.")
    print(f"Runs of: {ray_address or helix_home()}. Ctrl-C ends the page, not a run.", flush=True)
    script = Path(__file__).parents[1] / "_dashboard" / "app.py"
    # exec: signals reach the page directly, and no second process waits beside it
    os.execve(sys.executable, [sys.executable, "-P", "-m", "streamlit", "run", str(script)], environment)  # noqa: S606


def check_free(address: str, port: int) -> None:
    """StartError unless the page can listen there."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Streamlit does: what has just ended holds no port
            probe.bind(place)
    except OSError as error:
        raise StartError(
            f"the page cannot listen on {address}, port {port}: {error.strerror or error}. Choose another port, for instance "
            f"helix monitor --port {port + 1 if port < 65535 else port - 1}; perhaps a page is open already"
        ) from error


def settings(port: int, address: str, allowed_hosts: list[str]) -> dict[str, str]:
    """What differs from one start to the next, as environment variables; the rest is in ``dashboard/.streamlit/config.toml``."""
    hosts = ["localhost", "127.0.0.1", *allowed_hosts]
    if address not in (*LOOPBACK, "0.0.0.0"):  # noqa: S104  (compared, not bound)
        hosts.append(address)
    return {
        "STREAMLIT_SERVER_ADDRESS": address,
        "STREAMLIT_SERVER_PORT": str(port),
        "STREAMLIT_SERVER_ALLOWED_HOSTS": " ".join(hosts),  # lists are separated by blanks in the environment
    }
