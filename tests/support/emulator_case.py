"""Prompts in every format that the emulator reads, printed here by the letter of its documentation."""

from __future__ import annotations

import random
from collections.abc import Callable

FORMATS = ("raw", "spaced", "grouped10", "indexed10", "paired_indexed", "assisted_aligned")
Asked = tuple[str, str, str]  # id, window, read


def _groups(bases: str) -> list[str]:
    return [bases[start : start + 10] for start in range(0, len(bases), 10)]


def _indexed(bases: str) -> list[str]:
    return [f"{10 * number + 1}:{group}" for number, group in enumerate(_groups(bases))]


PRINTED: dict[str, Callable[[str], str]] = {
    "raw": lambda bases: bases,
    "spaced": " ".join,
    "grouped10": lambda bases: " ".join(_groups(bases)),
    "indexed10": lambda bases: " ".join(_indexed(bases)),
}


def _alternating(ref: str, read: str) -> str:
    refs, reads = [f"ref {group}" for group in _indexed(ref)], [f"read {group}" for group in _indexed(read)]
    lines = []
    while refs or reads:
        lines += [side.pop(0) for side in (refs, reads) if side]
    return "\n".join(lines)


def prompt(format_: str, *asked: Asked) -> str:
    blocks = []
    for opaque_id, ref, read in asked:
        sizes = f"({len(ref)} and {len(read)} bases)"
        if format_ == "paired_indexed":
            body = f"reference and read {sizes}:\n{_alternating(ref, read)}"
        elif format_ == "assisted_aligned":  # any gaps will do: the emulator finds its truth itself
            width = max(len(ref), len(read))
            body = f"aligned reference and read {sizes}:\n{ref.ljust(width, '-')}\n{read.rjust(width, '-')}"
        else:
            shown = PRINTED[format_]
            body = f"reference ({len(ref)} bases):\n{shown(ref)}\nread ({len(read)} bases):\n{shown(read)}"
        blocks.append(f"id: {opaque_id}\n{body}")
    return "\n\n".join(blocks)


def asked_reads(count: int, seed: int = 1, size: int = 100) -> list[Asked]:
    """Random windows, each with two substitutions that are neither adjacent nor inverted: two variants a read."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        ref = "".join(rng.choices("ACGT", k=size))
        read = list(ref)
        for place in rng.sample(range(10, size - 10, 2), 2):
            read[place] = rng.choice("ACGT".replace(read[place], ""))
        made.append((f"{rng.getrandbits(64):016x}", ref, "".join(read)))
    return made
