"""Whether the baseline finds exactly the truth wherever the generator calls it identifiable; by preset.

    .venv/bin/python benchmarks/check_identifiable.py [--records N]

Default: 100,000 identifiable records of each preset, some seconds each. `identifiable` is stamped from the distances between
variants alone, no aligner is asked: that the baseline agrees is a finding. Where bases are also misread, truth and errors
together are what there is to find. Ends with 1 when below: F1 1, exact sets 99.9 %; of `bench`, 95 % stamped.

F1 is haplotype-aware: calls that turn the window into the read are all right, whatever their representation, otherwise those that
are in the truth. Exact: the calls are the truth, allele by allele.
"""

from __future__ import annotations

import argparse
import sys

from harness import print_table
from helix_ray.config.mutation import MutationConfig
from support.identifiable import PRESETS, agreement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="identifiable records of each preset")
    count = max(1, parser.parse_args().records)
    found = {preset: agreement(MutationConfig(preset=preset), count) for preset in PRESETS}
    rows = [[preset, a.records, f"{a.stamped:.2%}", f"{a.f1:.6f}", f"{a.exact_share:.3%}", a.commonest(3)] for preset, a in found.items()]
    print_table(["preset", "records", "identifiable", "F1", "exact sets", "commonest differences"], rows)
    sys.exit(not all(a.enough(preset) for preset, a in found.items()))


if __name__ == "__main__":
    main()
