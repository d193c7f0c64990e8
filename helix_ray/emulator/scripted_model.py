"""The scripted model: true calls with seeded mistakes. Its error rates say nothing about any LLM.

Every draw is a function of (seed, window, read) alone, so a rerun under other opaque ids, in another order or after a
restart answers the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from helix_ray.config import EmulatorErrorRates
from helix_ray.emulator.caller import Call, call_variants

_MASK = (1 << 64) - 1


class Draws:
    """Uniform numbers in [0, 1) by SplitMix64 (Steele, Lea & Flood 2014): far cheaper to seed than ``random.Random``."""

    __slots__ = ("_state",)

    def __init__(self, seed: int, ref: str, read: str) -> None:
        digest = blake2b(f"{seed}|{ref}|{read}".encode(), digest_size=8).digest()
        self._state = int.from_bytes(digest, "little")

    def uniform(self) -> float:
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((state ^ (state >> 31)) >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        return int(self.uniform() * limit)


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """One answer, and what the script did to the truth to get it."""

    calls: list[tuple[Call, float]]  # with confidence, 0..1
    true_calls: int
    dropped: int
    shifted: int
    hallucinated: int
    effort_draw: float  # [0, 1): how long the model "thinks" about this pair


class ScriptedModel:
    """``drop`` and ``shift`` are chances per true call and exclude each other; ``hallucinate`` is a chance per read."""

    def __init__(self, seed: int, rates: EmulatorErrorRates) -> None:
        self._seed = seed
        self._drop = rates.drop
        self._shift_below = rates.drop + rates.shift
        self._hallucinate = rates.hallucinate

    def answer(self, ref: str, read: str) -> ScriptedAnswer:
        draws = Draws(self._seed, ref, read)
        effort = draws.uniform()
        # an N was not read: it is nothing to report
        truth = [call for call in call_variants(ref, read) if "N" not in call.ref + call.alt]
        calls: list[tuple[Call, float]] = []
        dropped = shifted = 0
        for call in truth:
            fate, detail = draws.uniform(), draws.uniform()
            if self._shift_below <= fate:
                calls.append((call, round(0.85 + 0.14 * detail, 2)))
                continue
            moved = None
            if fate >= self._drop:
                moved = _shifted(call, len(ref), detail, {*truth, *(made for made, _ in calls)})
            if moved is None:
                dropped += 1
            else:
                shifted += 1
                calls.append((moved, round(0.70 + 0.25 * detail, 2)))
        hallucinated = 0
        if draws.uniform() < self._hallucinate:
            invented = _invented(ref, truth, draws)
            if invented is not None:
                hallucinated = 1
                calls.append((invented, round(0.50 + 0.40 * draws.uniform(), 2)))
        calls.sort(key=lambda item: item[0])
        return ScriptedAnswer(calls, len(truth), dropped, shifted, hallucinated, effort)


def _shifted(call: Call, window: int, direction: float, taken: set[Call]) -> Call | None:
    """The call one base off, alleles unchanged: the miscounted position of a model that reads the bases right.

    None where either neighbour would be another call of the same alleles: that mistake would look like a right answer.
    """
    for step in (1, -1) if direction < 0.5 else (-1, 1):
        moved = call._replace(pos=call.pos + step)
        if 1 <= moved.pos <= window and moved not in taken:
            return moved
    return None


def _invented(ref: str, truth: list[Call], draws: Draws) -> Call | None:
    """A substitution where the read has none, on a base that no true call touches; None if none was found quickly."""
    touched = {pos for call in truth for pos in range(call.pos - 1, call.pos + len(call.ref) + 1)}
    for _ in range(8):
        pos = draws.below(len(ref)) + 1
        base = ref[pos - 1]
        if pos not in touched and base != "N":
            return Call(pos, base, "ACGT".replace(base, "")[draws.below(3)])
    return None
