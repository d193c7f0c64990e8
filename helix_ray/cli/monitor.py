"""``helix monitor``: serves the live page on this machine and prints the code that unlocks its controls.

Unlike a run, the page's process keeps GROQ_API_KEY and DATABASE_URL in its environment: a run that is started on the page inherits
them (it also reads ``.env`` of the working directory), and the page needs DATABASE_URL to show a run of an external database. It
shows neither: viewers get snapshots, error pages carry no details, and both are cut out of the last lines of a run that could not
start. No other process gets the control code or HELIX_CONTROL_TOKEN.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from helix_ray.client import CONTROL_CODE, control_token, helix_home
from helix_ray.environment.secrets import HELIX_CONTROL_TOKEN
from helix_ray.errors import MissingSecretError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def monitor(
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Port of the page.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on. Anything but loopback needs HELIX_CONTROL_TOKEN.")] = "127.0.0.1",
    allowed_host: Annotated[list[str] | None, typer.Option(help="A further host name under which the page may be asked for.")] = None,
) -> None:
    """Serves the live page. Watching needs nothing; commands need the code that is printed here, or HELIX_CONTROL_TOKEN.

    The code unlocks one browser session, once. HELIX_CONTROL_TOKEN unlocks as many as one likes.
    """
    token = control_token()
    environment = {**os.environ, **settings(port, address, list(allowed_host or ())), "HELIX_HOME": str(helix_home())}
    print(f"Page: http://{'localhost' if address in LOOPBACK else address}:{port}")
    if token is None:
        if address not in LOOPBACK:
            raise MissingSecretError(
                f"the page would listen on {address}, but {HELIX_CONTROL_TOKEN} is not set; set it in the environment or in .env, "
                "or listen on 127.0.0.1"
            )
        environment[CONTROL_CODE] = code = secrets.token_urlsafe(9)
        print(f"Control code (works once, in one browser tab): {code}")
    else:
        environment[HELIX_CONTROL_TOKEN] = token
        print(f"Controls are unlocked by {HELIX_CONTROL_TOKEN}.")
    print(f"Runs of: {helix_home()}. Ctrl-C ends the page, not a run.", flush=True)
    script = Path(__file__).parents[1] / "_dashboard" / "server.py"
    # exec: signals reach the page directly, and no second process waits beside it
    os.execve(sys.executable, [sys.executable, "-m", "streamlit", "run", str(script)], environment)  # noqa: S606


def settings(port: int, address: str, allowed_hosts: list[str]) -> dict[str, str]:
    """Streamlit's options as environment variables: closed to other sites, quiet, cheap per viewer."""
    hosts = ["localhost", "127.0.0.1", *allowed_hosts]
    if address not in (*LOOPBACK, "0.0.0.0"):  # noqa: S104  (compared, not bound)
        hosts.append(address)
    options: dict[str, str | int | bool] = {
        "server.address": address,
        "server.port": port,
        "server.headless": True,
        "server.allowedHosts": " ".join(hosts),  # lists are separated by blanks in the environment
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.xsrfCookieSameSite": "strict",
        "server.maxUploadSize": 1,
        "server.maxMessageSize": 20,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.websocketPingInterval": 10,
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "runner.postScriptGC": False,  # a full collection after each run costs 100 ms per viewer and second
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "browser.gatherUsageStats": False,
    }
    from streamlit.config_option import ConfigOption  # noqa: PLC0415  (Streamlit takes a second to import; only this command needs it)

    return {ConfigOption(name).env_var: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}
