"""``helix run --dry-run`` as values. A child process computes it: a forecast needs rooms that a client does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from helix_ray.errors import StartError
from helix_ray.records import JsonObject

DEADLINE_S = 120.0  # a file of reads is counted
YEAR_S = 365.25 * 86_400


@dataclass(frozen=True, slots=True)
class ServiceTime:
    name: str
    seconds: float
    limit: str  # the one that decides the time


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would ask for, cost and take; dollars, seconds."""

    backend: str
    reads: int
    requests: int
    cost_usd: float
    worst_usd: float
    cap_usd: float | None
    services: tuple[ServiceTime, ...]  # more than one where the plan of the account is not known

    def lines(self) -> list[str]:
        """Requests, cost, time and limit in words."""
        times = [f"time      {spelled(service.seconds)}, by {service.limit} ({service.name})" for service in self.services]
        return [
            f"requests  {self.requests:,} for {self.reads:,} reads",
            f"cost      ${self.cost_usd:,.4f} expected",
            f"at worst  ${self.worst_usd:,.4f}",
            *times,
            "cap       none" if self.cap_usd is None else f"cap       ${self.cap_usd:,.2f}",
        ]


def dry_run(config: Path | JsonObject, overrides: Sequence[str], environment: Mapping[str, str]) -> DryRun:
    """``config``: a file, or the values of one. StartError with what the child process said when there is no forecast."""
    with TemporaryDirectory() as folder:
        path, report = Path(folder) / "run.yaml", Path(folder) / "forecast.json"
        if isinstance(config, Path):
            path = config
        else:
            path.write_text(yaml.safe_dump(config), encoding="utf-8")
        settings = [argument for override in overrides for argument in ("--set", override)]
        command = [sys.executable, "-m", "helix_ray.run", str(path), *settings, "--dry-run", "--report", str(report)]
        try:
            done = subprocess.run(  # noqa: S603  (our own interpreter and module; the arguments are a list, no shell)
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, env=environment, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise StartError(f"the dry run has not ended after {DEADLINE_S:.0f} s; try helix run --dry-run in a terminal") from error
        if done.returncode != 0:
            raise StartError(done.stderr.strip()[-2000:] or f"the dry run ended with exit code {done.returncode}")
        found = json.loads(report.read_text(encoding="utf-8"))
    return DryRun(
        backend=found["backend"],
        reads=found["reads_analysed"],
        requests=found["requests"]["total"],
        cost_usd=found["cost_usd"]["expected"],
        worst_usd=found["cost_usd"]["worst"],
        cap_usd=found["cost_usd"]["cap"],
        services=tuple(ServiceTime(service["name"], service["seconds"], service["binding"]) for service in found["services"]),
    )


def spelled(seconds: float) -> str:
    """A duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.1f} min"
    if seconds < 2 * 86_400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:,.1f} days" if seconds < 2 * YEAR_S else f"{seconds / YEAR_S:,.1f} years"
