"""Which stored run a command means, and where it is."""

from __future__ import annotations

import os
from pathlib import Path

from helix_ray.environment.home import helix_home
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import Secret, load_secrets, withdraw_from_environment
from helix_ray.errors import ConfigError
from helix_ray.session.database import find_stored
from helix_ray.storage.ledger import StoredRun


def find_run(run_id: str | None, otherwise: str = "") -> tuple[StoredRun, Secret]:
    """The run with this id, None: the last one of this HELIX_HOME; and its database's address.

    ConfigError when there is none; ``otherwise`` is then what else could be done, after "name one with --run".
    """
    home = helix_home()
    if run_id is None:
        last = RunFile.read_last(home)
        if last is None:
            raise ConfigError("--run", [f"no run is known in HELIX_HOME {home}; name one with --run{otherwise}"])
        run_id = last.run_id
    secrets = load_secrets(os.environ, Path(".env"))
    withdraw_from_environment()
    return find_stored(home, secrets, run_id, None, "--run")
