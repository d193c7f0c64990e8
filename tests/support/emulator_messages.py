"""What the tests of the emulator over HTTP ask: one read with one substitution."""

from __future__ import annotations

from typing import Any

MODEL = "openai/gpt-oss-20b"
SYSTEM = "Report the differences between the read and its reference window as JSON."


def prompt(opaque_id: str, ref: str, read: str) -> str:
    def indexed(bases: str) -> str:
        return " ".join(f"{i + 1}:{bases[i : i + 10]}" for i in range(0, len(bases), 10))

    return f"id: {opaque_id}\nreference ({len(ref)} bases):\n{indexed(ref)}\nread ({len(read)} bases):\n{indexed(read)}"


def messages(opaque_id: str = "a1") -> list[Any]:
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": prompt(opaque_id, "ACGTTGCAAGCTTACGGATC", "ACGTTGCATGCTTACGGATC")},
    ]
