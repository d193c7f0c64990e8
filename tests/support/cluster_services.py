"""What a run on machines of namespaces needs beside Ray: PostgreSQL and the emulator, both at the bridge's address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from helix_ray.storage.embedded import EmbeddedServer

KEY_CANARY, PASSWORD_CANARY = "gsk_canary_of_the_key_7f3a91", "canary_of_the_password_5c1e27"


@dataclass(frozen=True)
class Services:
    database_url: str  # as the runs have it: with a password, which the server does not ask for
    socket_url: str  # the same database, for the test
    emulator_url: str

    def rows(self, run_id: str) -> tuple[int, int]:
        """Rows of the run, and how many of them are there twice."""
        rows, different = self.query(f"select count(*), count(distinct read_index) from helix.reads where run_id = '{run_id}'")[0]
        return rows, rows - different

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.socket_url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def emulator(self, page: str, **changed: object) -> dict[str, Any]:
        """``summary``, ``ledger?offset=0``, or ``set`` with what is changed."""
        data = json.dumps(changed).encode() if changed else None
        with urllib.request.urlopen(f"{self.emulator_url}/_ctl/{page}", data, timeout=20) as reply:
            return dict(json.loads(reply.read()))

    def requests(self) -> list[dict[str, Any]]:
        """Every request that ended, in the order of their ends."""
        entries: list[dict[str, Any]] = []
        while page := self.emulator(f"ledger?offset={len(entries)}")["entries"]:
            entries += page
        return entries


@contextmanager
def services(address: str, home: Path) -> Iterator[Services]:
    """Both listen at ``address``; ``home`` must be a folder that any user may enter."""
    with ExitStack() as stack:
        server = EmbeddedServer(home, {"fsync": "off", "full_page_writes": "off", "listen_addresses": address})
        server.join()
        stack.callback(server.leave)
        with (server.data / "pg_hba.conf").open("a") as allowed:
            allowed.write(f"host all all {address}/24 trust\n")
        server.halt()
        server.join()
        words = ["emulator", "--host", address, "--port", "0", "--tier", "unlimited", "--latency-scale", "1"]
        clean = {name: value for name, value in os.environ.items() if name not in ("GROQ_API_KEY", "DATABASE_URL")}
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-u", "-c", "from helix_ray.cli import main; main()", *words], stdout=subprocess.PIPE, env=clean, text=True
            )
        )
        stack.callback(process.terminate)
        assert process.stdout is not None
        line = next(line for line in process.stdout if "http://" in line)
        url = f"http://{address}:{line.split(f'{address}:')[1].split('/')[0].split()[0].rstrip('.,')}"
        database = f"postgresql://postgres:{PASSWORD_CANARY}@{address}:5432/postgres"
        yield Services(database, server.url, url)
