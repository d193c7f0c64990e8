"""What a run on machines of namespaces needs beside Ray: PostgreSQL and the emulator, both at the bridge's address."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from helix_ray.storage.embedded import EmbeddedServer
from support.machines import Cluster, Machine

KEY_CANARY, PASSWORD_CANARY = "gsk_canary_of_the_key_7f3a91", "canary_of_the_password_5c1e27"


ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], sys.argv[2].encode() or None, 20).read().decode())"
EMULATOR_HOST, EMULATOR_PORT = 200, 8877


@dataclass(frozen=True)
class Services:
    database_url: str  # as the runs have it: with a password, which the server does not ask for
    socket_url: str  # the same database, for the test
    emulator_url: str
    machine: Machine  # the emulator's

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.socket_url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def emulator(self, page: str, **changed: object) -> dict[str, Any]:
        """``summary``, ``ledger?offset=0``, or ``set`` with what is changed: asked on its own machine, as nobody else may."""
        words = (self.emulator_url.replace(self.machine.address, "127.0.0.1") + f"/_ctl/{page}", json.dumps(changed) if changed else "")
        asked = self.machine.call(sys.executable, "-c", ASK, *words)
        assert asked.returncode == 0, asked.stderr
        return dict(json.loads(asked.stdout))

    def requests(self) -> list[dict[str, Any]]:
        """Every request that ended, in the order of their ends."""
        entries: list[dict[str, Any]] = []
        while page := self.emulator(f"ledger?offset={len(entries)}")["entries"]:
            entries += page
        return entries


@contextmanager
def services(cluster: Cluster, home: Path) -> Iterator[Services]:
    """PostgreSQL at the bridge's address, the emulator on a machine of its own; ``home``: a folder that any user may enter."""
    with ExitStack() as stack:
        server = EmbeddedServer(home, {"fsync": "off", "full_page_writes": "off", "listen_addresses": cluster.address})
        server.join()
        stack.callback(server.leave)
        with (server.data / "pg_hba.conf").open("a") as allowed:
            allowed.write(f"host all all {cluster.address}/24 trust\n")
        server.halt()
        server.join()
        machine = cluster.connect(EMULATOR_HOST)
        words = ["emulator", "--host", "0.0.0.0", "--port", str(EMULATOR_PORT), "--tier", "unlimited"]
        log = home / "emulator.log"
        process = machine.start(sys.executable, "-uc", "from helix_ray.cli import main; main()", *words, env=cluster.environment(), log=log)
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        url = f"http://{machine.address}:{EMULATOR_PORT}"
        served = Services(f"postgresql://postgres:{PASSWORD_CANARY}@{cluster.address}:5432/postgres", server.url, url, machine)
        until = time.monotonic() + 30
        while "http://" not in log.read_text():
            assert time.monotonic() < until
            assert process.poll() is None, log.read_text()
        yield served
