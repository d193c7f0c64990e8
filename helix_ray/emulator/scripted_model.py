"""The scripted model: true calls with seeded mistakes. Its error rates say nothing about any LLM.

Every draw is a function of (seed, window, read) alone, so a rerun under other opaque ids, in another format or packing, in
another order or after a restart answers the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.emulator.caller import Call, call_variants
from helix_ray.emulator.draws import Draws


class ScriptedAnswer(NamedTuple):
    """One read's answer, and what the script did to the truth to get it."""

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
        draws = Draws(f"{self._seed}|{ref}|{read}")
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
                moved = _shifted(call, ref, detail, truth, [made for made, _ in calls])
            if moved is None:
                dropped += 1
            else:
                shifted += 1
                calls.append((moved, round(0.70 + 0.25 * detail, 2)))
        hallucinated = 0
        if draws.uniform() < self._hallucinate:
            invented = _invented(ref, [*truth, *(made for made, _ in calls)], draws)
            if invented is not None:
                hallucinated = 1
                calls.append((invented, round(0.50 + 0.40 * draws.uniform(), 2)))
        calls.sort(key=lambda item: item[0])
        return ScriptedAnswer(calls, len(truth), dropped, shifted, hallucinated, effort)


def _shifted(call: Call, ref: str, direction: float, truth: list[Call], made: list[Call]) -> Call | None:
    """The call one base off, alleles unchanged: the miscounted position of a model that reads the bases right.

    None where neither direction makes a mistake of its own: one that changes the window as a true call does would be a
    right answer, and one on the bases of another call would spoil that call too.
    """
    others = [other for other in (*truth, *made) if other is not call]
    for step in (1, -1) if direction < 0.5 else (-1, 1):
        moved = call._replace(pos=call.pos + step)
        if 1 <= moved.pos <= len(ref) and not any(_overlap(moved, other) for other in others):
            result = _applied(ref, moved)
            if all(_applied(ref, true) != result for true in truth):
                return moved
    return None


def _applied(ref: str, call: Call) -> str:
    """The window with this call alone, whatever bases stand there."""
    return ref[: call.pos - 1] + call.alt + ref[call.pos - 1 + len(call.ref) :]


def _overlap(first: Call, second: Call) -> bool:
    return first.pos < second.pos + len(second.ref) and second.pos < first.pos + len(first.ref)


def _invented(ref: str, calls: Iterable[Call], draws: Draws) -> Call | None:
    """A substitution where the read has none, on a base that no call touches; None if none was found quickly."""
    touched = {pos for call in calls for pos in range(call.pos - 1, call.pos + len(call.ref) + 1)}
    for _ in range(8):
        pos = draws.below(len(ref)) + 1
        base = ref[pos - 1]
        if pos not in touched and base != "N":
            return Call(pos, base, "ACGT".replace(base, "")[draws.below(3)])
    return None
