"""Seeded uniform numbers, by SplitMix64 (Steele, Lea & Flood 2014): far cheaper to seed than ``random.Random``."""

from __future__ import annotations

from hashlib import blake2b

_MASK = (1 << 64) - 1


class Draws:
    """A stream of its own for every ``seed`` text; equal texts draw the same."""

    __slots__ = ("_state",)

    def __init__(self, seed: str) -> None:
        self._state = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "little")

    def bits(self) -> int:
        """64 uniform bits."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return state ^ (state >> 31)

    def uniform(self) -> float:
        """In [0, 1)."""
        return (self.bits() >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit`` - 1."""
        return int(self.uniform() * limit)
