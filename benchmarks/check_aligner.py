"""Whether the baseline's alignments are optimal: their scores against those of WFA2 (pywfa) and parasail, for equality.

    .venv/bin/python benchmarks/check_aligner.py [PAIRS]

Default: 20,000 pairs, a quarter of each kind; some seconds. Ends with 1 if any score differs.
"""

from __future__ import annotations

import sys

from harness import argument, print_table
from support.alignment import KINDS, differing, of_kind


def main() -> None:
    count = argument(__doc__, "PAIRS", 20_000, least=len(KINDS))
    rows = []
    for kind in KINDS:
        pairs = of_kind(kind, count // len(KINDS), seed=1)
        rows.append([kind, len(pairs), *differing(pairs).values()])
    print_table(["pairs", "number", "score differs from WFA2", "score differs from parasail"], rows)
    sys.exit(any(row[2] or row[3] for row in rows))


if __name__ == "__main__":
    main()
