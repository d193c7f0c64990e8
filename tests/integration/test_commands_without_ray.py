"""Stored runs are exported, scored again and compared where neither Ray nor what the page needs is installed."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from helix_ray.config import Config
from helix_ray.sources import make_source
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.postgres import PostgresLedger
from support.scored_results import answered

NOT_INSTALLED = (
    "ray", "grpc", "google", "aiohttp", "opencensus", "opentelemetry", "prometheus_client",
    "streamlit", "altair", "pandas", "pydeck", "starlette", "tornado", "uvicorn", "httptools", "groq", "httpx",
)  # fmt: skip

COMMANDS = """
import importlib.abc, json, os, sys

class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from typer.testing import CliRunner
from helix_ray.cli import app

url = os.environ["DATABASE_URL"]
for words in json.loads(sys.argv[2]):
    os.environ["DATABASE_URL"] = url  # each command withdraws it
    result = CliRunner().invoke(app, words)
    print(json.dumps([words[0], result.exit_code, result.output, repr(result.exception)]))
"""


async def store(url: str, *names: str) -> list[str]:
    block = make_source(Config()).block(0)
    assert block is not None
    results = [answered(read) for read in block.rows()]
    ledger = PostgresLedger(url)
    runs = [str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in names]
    for run_id, name in zip(runs, names, strict=True):
        started_at = datetime(2026, 1, 1, tzinfo=UTC)
        await ledger.start_run(RunRow(run_id, name, Config().model_dump_json(), "h", 1, {}, None, started_at, "emulator", True))
        await ledger.write_batch(run_id, results, [])
    await ledger.aclose()
    return runs


def test_export_rescore_and_compare_need_neither_ray_nor_the_page(database_url: str, tmp_path: Path) -> None:
    one, other = asyncio.run(store(database_url, "one", "other"))
    commands = [
        ["export", "--help"],
        ["export", "--run", one, "--output", "exported"],
        ["rescore", "--run", one],
        ["compare", one, other],
        ["doctor", "--probe"],  # needs the provider's client: what is not there is missed
    ]
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, ",".join(NOT_INSTALLED), json.dumps(commands)],
        env={**os.environ, "HELIX_HOME": str(tmp_path / "home"), "DATABASE_URL": database_url, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *fine, missing = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(name, code) for name, code, *_ in fine] == [("export", 0), ("export", 0), ("rescore", 0), ("compare", 0)], fine
    assert "No module named" in missing[-1]
    assert {"manifest.json", "reads.parquet", "truth.vcf.gz"} <= {path.name for path in (tmp_path / "exported").iterdir()}
