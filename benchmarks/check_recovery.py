"""Whether the report recovers error rates that are known: coverage of its 95 % intervals over many seeds.

    .venv/bin/python benchmarks/check_recovery.py [SEEDS]

Default: 1,000 seeds, three minutes on one core. Each seed makes fresh reads of the preset bench and a fresh scripted caller that
drops, shifts and invents variants at set rates; its answers, as text, are read, judged and scored as a run does it. A rate is
covered when it lies in the report's interval. Ends with 1 when the coverage of any rate leaves 0.93 to 0.97.

The scripted caller is the emulator's: its rates say nothing about any LLM.
"""

from __future__ import annotations

import argparse
import sys

from harness import print_table
from helix_ray.config.emulator import EmulatorErrorRates
from support.scripted_results import recovered, scripted_scores

READS = 400
RATES = {"missed": 0.10, "misplaced": 0.05, "invented": 0.05}
LEAST, MOST = 0.93, 0.97


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="?", type=int, default=1000)
    seeds: int = parser.parse_args().seeds
    covered = dict.fromkeys(RATES, 0)
    width = dict.fromkeys(RATES, 0.0)
    mean = dict.fromkeys(RATES, 0.0)
    set_rates = EmulatorErrorRates(drop=RATES["missed"], shift=RATES["misplaced"], hallucinate=RATES["invented"])
    for seed in range(1, seeds + 1):
        for name, found in recovered(scripted_scores(seed, READS, set_rates)).items():
            if name in RATES:
                low, high = found["ci"]
                covered[name] += low <= RATES[name] <= high
                width[name] += (high - low) / seeds
                mean[name] += found["rate"] / seeds
    rows = [[name, rate, f"{mean[name]:.4f}", f"{width[name]:.4f}", f"{covered[name] / seeds:.3f}"] for name, rate in RATES.items()]
    print_table(["rate", "set", "mean found", "mean width of the interval", f"coverage, {seeds:,} seeds"], rows)
    sys.exit(any(not LEAST <= count / seeds <= MOST for count in covered.values()))


if __name__ == "__main__":
    main()
