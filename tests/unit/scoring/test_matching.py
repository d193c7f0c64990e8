"""The search against every pair of subsets."""

import random
from collections.abc import Sequence

from helix_ray.scoring.matching import Matching, match
from helix_ray.scoring.variants import Edit, apply, edit, edits

CASES = 5000


def best_of_all(window: str, left: Sequence[Edit], right: Sequence[Edit]) -> Matching:
    """The same answer by trying every pair of subsets."""
    swapped = tuple(right) < tuple(left)
    first, second = (right, left) if swapped else (left, right)
    members = len(first) + len(second)
    candidates = []
    for left_out in range(1 << members):
        kept = [not left_out >> (members - 1 - i) & 1 for i in range(members)]
        ours = [item for item, keep in zip(first, kept, strict=False) if keep]
        theirs = [item for item, keep in zip(second, kept[len(first) :], strict=True) if keep]
        spelled = apply(window, ours)
        if spelled is not None and spelled == apply(window, theirs):
            candidates.append((left_out.bit_count(), len(first) - len(ours), left_out, kept))
    kept = min(candidates)[3]
    one = frozenset(i for i in range(len(first)) if kept[i])
    other = frozenset(i for i in range(len(second)) if kept[len(first) + i])
    return Matching(other, one) if swapped else Matching(one, other)


def some_edits(rng: random.Random, window: str) -> list[Edit]:
    """Up to four, of a two-letter alphabet, so that much can be said in several ways; they may touch the same bases."""
    made = set()
    for _ in range(rng.randint(0, 4)):
        start = rng.randrange(len(window) + 1)
        end = min(len(window), start + rng.choice((0, 0, 1, 1, 1, 2, 3)))
        added = "".join(rng.choices("AC", k=rng.choice((0, 1, 1, 2))))
        if window[start:end] != added:
            made.add(Edit(start, end, added))
    return sorted(made)


def test_the_search_finds_what_trying_all_subsets_finds_and_swapping_the_sets_swaps_it() -> None:
    rng = random.Random(5000)
    matched_otherwise = 0
    for _ in range(CASES):
        window = "".join(rng.choices("AC", k=rng.randint(3, 14)))
        left, right = some_edits(rng, window), some_edits(rng, window)
        found = match(window, left, right)
        assert found == best_of_all(window, left, right), (window, left, right)
        assert match(window, right, left) == (found.right, found.left)
        matched_otherwise += {left[i] for i in found.left} != {right[i] for i in found.right}
    assert matched_otherwise > CASES // 20, "the cases are tricky: many matches are not between equal edits"


def test_too_many_states_are_given_up() -> None:
    window = "ACGT" * 20
    calls = [Edit(i, i + 1, "N") for i in range(0, 60, 2)]
    truth = [Edit(i, i + 1, "N") for i in range(1, 60, 2)]
    assert match(window, calls, truth, max_states=5) is None
    assert match(window, [], [], max_states=100) == (frozenset(), frozenset())


def test_edits_of_variants_in_vcf_form() -> None:
    assert edit(3, "G", "T") == (2, 3, "T")
    assert edit(3, "GTA", "G") == (3, 5, "")
    assert edit(3, "G", "GTA") == (3, 3, "TA")
    assert edits([(5, "A", "C"), (2, "CG", "C")]) == [(2, 3, ""), (4, 5, "C")]
    assert apply("ACGTA", edits([(5, "A", "C"), (2, "CG", "C")])) == "ACTC"
    assert apply("ACGTA", []) == "ACGTA"
    assert apply("ACGTA", [Edit(1, 3, ""), Edit(2, 4, "")]) is None
