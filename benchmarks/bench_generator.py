"""Reads a second of the Rust generator on one core, as Python gets them: columns of strings, truth included.

    .venv/bin/python benchmarks/bench_generator.py [BATCHES]

Best of five times 50 batches (the default) of 1,000 reads of 150 bases: some seconds. Without Python, the same loop is
`cargo bench` in rust_gen/.
"""

from __future__ import annotations

import time

from harness import argument, print_table

from helix_ray.mutation import MutationConfig
from helix_ray.native import rust

BATCH = 1000


def reads_per_s(mutation: MutationConfig, batches: int) -> float:
    """Reads per second of CPU time."""
    config = mutation.to_generator_json()
    best = 0.0
    for _ in range(5):
        began = time.process_time()
        for batch in range(batches):
            rust.generate(42, config, batch * BATCH, BATCH)
        best = max(best, BATCH * batches / (time.process_time() - began))
    return best


def main() -> None:
    batches = argument(__doc__, "BATCHES", 50)
    rows = []
    for label, weights in [("0", [1.0]), ("1", [0.0, 1.0]), ("3", [0.0, 0.0, 0.0, 1.0]), ("default", [0.25, 0.35, 0.2, 0.2])]:
        speed = reads_per_s(MutationConfig(variants_per_read=weights), batches)
        rows.append([label, f"{speed:,.0f}", f"{speed * 150 / 1e6:,.0f}"])
    print_table(["variants a read", "reads/s", "Mbases/s"], rows)


if __name__ == "__main__":
    main()
