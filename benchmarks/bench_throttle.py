"""How close to the provider's limits, how many refusals, and what is lost: ours, and two peers, on the same work.

The peers are token-throttle, which is told the limits, in front of the OpenAI SDK, and the Groq SDK's own retries.

    .venv/bin/python benchmarks/bench_throttle.py [SHAPE ...] [--analyzers N ...] [--chart FILE]

Shapes: steady (36,000 tokens and 600 requests a minute), requests (120 requests a minute that no header shows), day (a daily limit
binds), outage (the daily quota is gone for 100 s), neighbour (another client takes half); openai, fixed-128, fixed-512, fixed-2048,
silent (other laws), overload and flaky (503s; calm: none, to compare with), down (an API that is out). Default: the first five, about
25 minutes. ``--ours``: without the peers.
``--analyzers 1 2 4 8`` repeats the steady shape with that many analyzer actors, 32 requests in flight in all.

No limit is configured: the run has to find them. Everything is judged by the emulator's ledger: utilisation = settled amount /
(initial credit + limit x time), ideal = the time that the settled amount takes from a full bucket. An emulator stands in for the API.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from chart import bars
from harness import print_table, started_run
from helix_ray.config.loading import load_config
from sdk_client import has_token_throttle, run_sdk, run_token_throttle
from throttle_shapes import IN_FLIGHT, SHAPES, Shape

DEFAULT = 5  # of the shapes
DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"
OURS = "Helix-Throttle"
TOKEN_THROTTLE = "token-throttle, told the limits"
SDK = {"Groq SDK, 10 retries": 10, "Groq SDK, its 2 retries": 2}


@dataclass
class Result:
    system: str
    shape: Shape
    delivered: int
    ledger: dict[str, Any]

    @property
    def bucket(self) -> dict[str, float]:
        """Of the limit that binds; where none does, that of tokens, for its seconds."""
        (buckets,) = (group for model, group in self.ledger["buckets"].items() if " " not in model)
        found: dict[str, float] = buckets[self.shape.window or "TPM"]
        return found

    @property
    def refused(self) -> int:
        return self.by_status("429")

    @property
    def answered(self) -> int:
        return self.by_status("200")

    def by_status(self, status: str) -> int:
        return int(self.ledger["requests"]["by_status"].get(status, 0))

    @property
    def times_ideal(self) -> float:
        """Seconds over those that the same amount takes from a full bucket; 1 where the first bucketful was enough. Of windows of the
        clock, which one may begin late in: their number over the least.
        """
        bucket = self.bucket
        if self.ledger["law"] == "fixed_windows":
            return (1 + bucket["refilled"] / bucket["limit"]) / ceil(bucket["settled"] / bucket["limit"])
        least = (bucket["settled"] - bucket["limit"]) / bucket["limit"] * bucket["window_s"]
        return bucket["seconds"] / least if least > 1 else 1.0

    def row(self) -> list[Any]:
        bucket = self.bucket
        per_answer = self.refused / self.answered if self.answered else float("nan")
        return [
            self.system,
            f"{self.delivered} of {self.shape.records}",
            f"{per_answer:.2f} ({self.refused})",
            self.by_status("503"),
            f"{bucket['seconds']:.1f}",
            f"{self.times_ideal:.3f}" if self.shape.window else "-",
            f"{bucket['utilisation']:.4f}" if self.shape.window else "-",
        ]


def ours(shape: Shape, analyzers: int) -> Result:
    """One whole run: Ray, the throttle actor, PostgreSQL."""
    workers = (f"analyzer.workers={analyzers}", f"analyzer.requests_in_flight={IN_FLIGHT // analyzers}")
    with started_run(*shape.all_settings(), *workers) as run:
        report = run.watch(timeout_s=shape.deadline_s + 300)
        ledger = run.emulator_summary()
    if report["lost"]:
        raise SystemExit(f"{shape.name}: {report['lost']} reads are lost, which no limit excuses")
    name = OURS if analyzers == 2 else f"{OURS}, {analyzers} analyzers"
    return Result(name, shape, int(report["reads_stored"]), ledger)


def peers(shape: Shape) -> Iterator[Result]:
    config = load_config(DEMO, shape.all_settings())
    if has_token_throttle():
        run = run_token_throttle(config, IN_FLIGHT, shape.deadline_s)
        yield Result(TOKEN_THROTTLE, shape, run.delivered, run.ledger)
    else:
        print("token-throttle is left out: .venv/peers (make test-peers) does not have it, or has no Python 3.12", flush=True)
    for name, retries in SDK.items():
        run = run_sdk(config, retries, IN_FLIGHT, shape.deadline_s)
        yield Result(name, shape, run.delivered, run.ledger)


def show(title: str, results: list[Result]) -> None:
    print(f"\n{title}", flush=True)
    header = ["system", "records delivered", "429s per answer (429s)", "503s", "seconds", "x ideal", "utilisation"]
    print_table(header, [result.row() for result in results])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", metavar="SHAPE", nargs="*", choices=[[], *SHAPES], help=", ".join(SHAPES))
    parser.add_argument("--analyzers", metavar="N", type=int, nargs="+", choices=(1, 2, 4, 8), help="1, 2, 4, 8")
    parser.add_argument("--ours", action="store_true", help="without the peers")
    parser.add_argument("--chart", type=Path, default=Path(__file__).parent / "results/throttle.svg", help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.analyzers:
        show(f"{SHAPES['steady'].title}, by analyzers", [ours(SHAPES["steady"], number) for number in arguments.analyzers])
        return
    drawn: dict[str, dict[str, float]] = {}
    for shape in (SHAPES[name] for name in arguments.shapes or [*SHAPES][:DEFAULT]):
        results = [ours(shape, 2), *(() if arguments.ours else peers(shape))]
        show(shape.title, results)
        drawn[shape.name] = {result.system: 100 * result.delivered / shape.records for result in results}
    bars(arguments.chart, "Records delivered under the limits of an emulator", "percent of the records", drawn, percent=True)
    print(f"\nchart: {arguments.chart}")


if __name__ == "__main__":
    main()
