"""How close to the provider's limit, and never over it: the emulator's developer tier, limits not configured.

    .venv/bin/python benchmarks/bench_limit.py [SECONDS]

Default: 180 seconds. The tier's own limits hold (demo.yaml, on which every run here is built, puts larger ones in their
place), and the run must discover them. Judged by the emulator's own ledger: utilisation = settled amount / (initial credit +
limit x time). The bucket is full at the start, so the first minute's worth goes at once and the limit binds after that.
"""

from __future__ import annotations

from harness import argument, print_table, started_run


def main() -> None:
    seconds = argument(__doc__, "SECONDS", 180, least=10)
    settings = (
        "source.count=null",
        f"run.max_duration_s={seconds}",
        "emulator.tier=developer",
        "emulator.requests_per_minute=null",
        "emulator.tokens_per_minute=null",
        "ray.dashboard=false",
    )
    with started_run(*settings) as run:
        report = run.watch(timeout_s=seconds + 300)
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
