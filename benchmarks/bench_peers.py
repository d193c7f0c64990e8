"""Requests and reads a second, and the CPU of one request, beside what a user would write instead. About 4 minutes on two cores.

    .venv/bin/python benchmarks/bench_peers.py [SHARE]

SHARE, in percent of the usual number of reads, 100 by default. The pipeline, plain asyncio (aiohttp, COPY) and Ray Data take turns
on one emulator without limits and one PostgreSQL, ask about the same kind of reads with the same prompt, parse and score the answers,
and store rows. The other two keep no ledger of money, no leases, no limits: a part that dies loses reads and what was paid for them.
The table and the machine go to ``benchmarks/RESULTS.md``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from harness import CpuMeter, argument, print_table, started_run
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.sources.synthetic import SyntheticSource
from helix_ray.storage.embedded import EmbeddedServer
from plain_client import Work

RESULTS = Path(__file__).with_name("RESULTS.md")
MODEL = "openai/gpt-oss-20b"


@dataclass(frozen=True)
class Shape:
    name: str
    reads: int
    reads_per_request: int
    in_flight: int  # over two analyzers
    latency: float  # times the published one


SHAPES = (
    Shape("one read a request, no latency", 5_000, 1, 64, 0),
    Shape("20 reads a request, no latency", 20_000, 20, 64, 0),
    Shape("one read a request, published latency", 6_000, 1, 192, 1),
)


@dataclass(frozen=True)
class Measured:
    contender: str
    seconds: float
    cpu: dict[str, float]  # by role, without the emulator


def work_of(shape: Shape, url: str, database: str) -> Work:
    return Work(url, database, shape.reads, shape.reads_per_request, shape.in_flight)


def ours(shape: Shape, url: str, database: str) -> Measured:
    settings = (
        f"source.count={shape.reads}",
        "analyzer.backend=groq",
        f"provider.base_url={url}/openai/v1",
        f"analyzer.reads_per_request={shape.reads_per_request}",
        f"analyzer.max_completion_tokens={work_of(shape, url, database).max_completion_tokens}",
        "analyzer.workers=2",
        f"analyzer.requests_in_flight={shape.in_flight // 2}",
        "throttle.max_cost_usd=1000",
        "sink.database=external",
        "ray.dashboard=false",
    )
    meter = CpuMeter()
    os.environ |= {"DATABASE_URL": database, "GROQ_API_KEY": "no-key-is-needed-here"}
    with started_run(*settings) as run:
        report = run.watch(meter.sample, every_s=0.3)
    if report["reads_stored"] != shape.reads:
        raise SystemExit(f"{report['reads_stored']} of {shape.reads} reads were stored")
    return Measured("Helix-Throttle", report["duration_s"], meter.spent())


def theirs(kind: str, shape: Shape, url: str, database: str) -> Measured:
    command = [sys.executable, str(Path(__file__).with_name("plain_client.py")), kind]
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  it ends with the process
    process = psutil.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    process.stdin.write(json.dumps(asdict(work_of(shape, url, database))))
    process.stdin.close()
    spent: dict[int, float] = {}
    while process.poll() is None:
        for each in (process, *process.children(recursive=True)):
            try:
                times = each.cpu_times()
            except psutil.Error:
                continue
            spent[each.pid] = times.user + times.system
        time.sleep(0.1)
    if process.returncode:
        errors.seek(0)
        raise SystemExit(f"{kind} ended with exit code {process.returncode}:\n{errors.read()}")
    found = json.loads(process.stdout.read())
    if found["rows"] != shape.reads:
        raise SystemExit(f"{kind}: {found['rows']} of {shape.reads} reads were stored")
    return Measured({"asyncio": "plain asyncio", "ray-data": "Ray Data"}[kind], found["seconds"], {"all": sum(spent.values())})


def cpu_of(server: EmbeddedServer) -> float:
    """Seconds of PostgreSQL, with those of backends that have ended."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    own = postmaster.cpu_times()
    living = (child.cpu_times() for child in postmaster.children())
    return own.user + own.system + own.children_user + own.children_system + sum(times.user + times.system for times in living)


def measure(shape: Shape, server: EmbeddedServer) -> list[list[Any]]:
    rows = []
    config = EmulatorConfig.model_validate({"tier": "unlimited", "latency_scale": shape.latency})
    with EmulatorProcess.start(config, MODEL) as emulator:
        for run in (
            lambda: ours(shape, emulator.url, server.url),
            lambda: theirs("asyncio", shape, emulator.url, server.url),
            lambda: theirs("ray-data", shape, emulator.url, server.url),
        ):
            before = cpu_of(server)
            measured = run()
            database = cpu_of(server) - before
            requests = -(-shape.reads // shape.reads_per_request)
            own = sum(measured.cpu.values())
            rows.append(
                [
                    shape.name,
                    measured.contender,
                    requests / measured.seconds,
                    shape.reads / measured.seconds,
                    1000 * (own + database) / requests,
                    1000 * database / requests,
                ]
            )
            print(f"{shape.name}: {measured.contender}: {requests / measured.seconds:,.0f} requests/s", file=sys.stderr, flush=True)
    return rows


def limits(share: float) -> list[list[Any]]:
    """Of the pipeline alone."""
    reads = int(30_000 * share)
    with started_run(f"source.count={reads}", "analyzer.backend=aligner", "ray.dashboard=false") as run:
        aligner = run.watch()["reads_per_s"]
    bare = min(
        _seconds("import ray, time; began = time.time(); ray.init(include_dashboard=False); print(time.time() - began)") for _ in range(3)
    )
    first = min(first_request() for _ in range(3))
    return [
        ["reads/s by the aligner into PostgreSQL", aligner],
        ["reads/s that cross from Rust as columns", crossing(packed=True)],
        ["reads/s that cross from Rust as Python objects", crossing(packed=False)],
        ["seconds of ray.init", bare],
        ["seconds from the command to the first request, database and all", first],
        ["their ratio", first / bare],
    ]


def _seconds(code: str) -> float:
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[-1])


def first_request() -> float:
    began = time.monotonic()
    with started_run("source.count=1", "emulator.tier=unlimited", "emulator.latency_scale=0", "ray.dashboard=false") as run:
        while not ((found := run.run_file()) and found.get("emulator_url") and run.emulator_summary()["requests"]):
            if run.process.poll() is not None:
                raise SystemExit(run.log.read_text())
            time.sleep(0.02)
        return time.monotonic() - began


def crossing(*, packed: bool) -> float:
    config = Config.model_validate({"source": {"count": 50_000, "batch_size": 500}})
    source, began = SyntheticSource(config), time.perf_counter()
    for index in range(100):
        block = source.block(index)
        assert block is not None
        if not packed:
            block.rows()
    return 50_000 / (time.perf_counter() - began)


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "unknown")
    commit = (
        subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    )
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "groq", "aiohttp", "psycopg"))
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, Python {platform.python_version()}, {versions}; commit {commit}"


def main() -> None:
    share = argument(__doc__, "SHARE", 100, least=10) / 100
    rows = []
    with tempfile.TemporaryDirectory(prefix="helix-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)  # as root, PostgreSQL runs as a user of its own
        server = EmbeddedServer(home)
        server.join()
        try:
            for shape in SHAPES:
                rows += measure(Shape(shape.name, int(shape.reads * share), *list(asdict(shape).values())[2:]), server)
        finally:
            server.leave()
    alone = limits(share)
    header = ["shape", "contender", "requests/s", "reads/s", "CPU ms a request, all processes and PostgreSQL", "of that PostgreSQL"]
    with RESULTS.open("w") as out:
        print(f"# Against what one would write instead\n\n{machine()}\n", file=out)
        print_table(header, rows, out)
        print("\nThe pipeline alone:\n", file=out)
        print_table(["measure", "value"], alone, out)
        print(f"\n{CAVEATS}", file=out)
    print(RESULTS.read_text())


CAVEATS = """`make bench` writes this page. One run of each contender and shape, in turns, on one emulator (not counted in the CPU) and one
PostgreSQL. The seconds of the pipeline begin when its run is stored and end with its last row; those of the others include the start of
Ray, which is a large part of a short run. The CPU of the pipeline is sampled while the run is live, that of the others to their end."""


if __name__ == "__main__":
    main()
