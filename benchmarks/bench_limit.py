"""How close to the provider's limit, and never over it: the emulator's developer tier, limits not configured.

    .venv/bin/python benchmarks/bench_limit.py [SECONDS]

Judged by the emulator's own ledger: utilisation = settled tokens / (initial credit + limit x time).
"""

from __future__ import annotations

import sys

from harness import print_table, started_run


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 180
    with started_run("source.count=null", f"run.max_duration_s={seconds}", "emulator.tier=developer", "ray.dashboard=false") as run:
        report = run.watch()
        ledger = run.emulator_summary()
    rows = [
        [name, bucket["limit"], bucket["settled"], f"{bucket['utilisation']:.4f}", ledger["http_429"].get(name, 0)]
        for buckets in ledger["buckets"].values()
        for name, bucket in buckets.items()
    ]
    print(f"{report['requests']:,} requests in {report['duration_s']:.0f} s, lost {report['lost']}")
    print(f"our own account: {report['utilisation']}\n")
    print_table(["limit", "value", "settled", "utilisation (ledger)", "429s"], rows)
    print(f"\nbill: emulator ${ledger['bill_usd']}, report ${report['cost_usd']}")


if __name__ == "__main__":
    main()
