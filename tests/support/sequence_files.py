"""Files of sequences that a run reads: a reference, and pairs of window and read with one malformed line."""

import json
import random
from pathlib import Path

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def genome(length: int, seed: int = 5) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def write_reference(path: Path, sequence: str) -> None:
    path.write_text(">chr1\n" + "\n".join(sequence[start : start + 60] for start in range(0, len(sequence), 60)) + "\n")


def write_pairs(path: Path, count: int) -> None:
    """As JSON lines: ``count`` pairs of a window and itself without one base, and on line 3 one that breaks off."""
    window = genome(120)
    rows = [{"id": f"p{number}", "window": window, "read": window[:60] + window[61:]} for number in range(count)]
    lines = [json.dumps(row) for row in rows]
    lines.insert(2, '{"id": "broken", "window": ')
    path.write_text("\n".join(lines) + "\n")
