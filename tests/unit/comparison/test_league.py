"""Corrections, words and plans; runs that meet; a league from its columns."""

import numpy as np
import pytest

from helix_ray.comparison.decisions import benjamini_hochberg, difference_told, holm, more_reads, reads_to_tell, verdict
from helix_ray.comparison.league import compare
from helix_ray.comparison.profiles import FALSE, FOUND, MISSED, Levels, Profiles, Variants, fingerprint, meet


def run(exact: list[int], checksums: list[int] | None = None, index: list[int] | None = None) -> Profiles:
    """Each read has one SNV, found where it is exact; where it is not, a wrong DEL stands in its place."""
    right, reads = np.array(exact, dtype=bool), len(exact)
    wrong = np.flatnonzero(~right)
    read = np.concatenate([np.arange(reads), wrong])
    kind = np.concatenate([np.where(right, FOUND, MISSED), np.full(len(wrong), FALSE)])
    types = Levels(("DEL", "SNV"), np.concatenate([np.ones(reads, dtype=int), np.zeros(len(wrong), dtype=int)]))
    every = np.ones(reads, dtype=bool)
    sums = np.array(checksums or range(1, reads + 1), dtype=np.uint64)
    place = np.array(index or range(reads))
    return Profiles(place, sums, right, every, ~every, every, None, Variants(read, kind, {"type": types}))


def test_corrections_are_those_of_the_book() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert holm([]) == []


def test_the_number_of_reads_is_connors() -> None:
    table = {0.05: [15_696, 3_922, 979], 0.1: [31_393, 7_847, 1_960], 0.3: [94_185, 23_545, 5_884]}
    for discordant, numbers in table.items():
        for wished, reads in zip((0.005, 0.01, 0.02), numbers, strict=True):
            assert reads_to_tell(wished, discordant) == pytest.approx(reads, abs=1)
    assert difference_told(7_847, 0.1) == pytest.approx(0.01, rel=1e-3)
    assert difference_told(0, 0.1) is difference_told(5, 0.1) is None
    assert reads_to_tell(0.01, 0.1, alpha=0.01) == pytest.approx(1.5 * 7_847, rel=0.02)
    with pytest.raises(ValueError, match=r"among 0\.1 discordant"):
        reads_to_tell(0.2, 0.1)


def test_three_words_and_how_many_reads_decide() -> None:
    assert verdict(0.04, (0.001, 0.03), 0.01) == "better"
    assert verdict(0.6, (-0.008, 0.009), 0.01) == "equivalent"
    assert verdict(0.6, (-0.012, 0.009), 0.01) == "undecided"
    assert more_reads(0.02, 0.02 / 2.8016, 0.01, 1000) == 1
    assert more_reads(0.01, 0.01, 0.001, 1000) == pytest.approx(1000 * (2.8016**2 - 1), rel=0.05)


def test_runs_meet_at_the_same_reads() -> None:
    one, other = run([1, 1, 0, 1], [5, 6, 7, 8]), run([1, 0, 0], [6, 7, 9], index=[1, 2, 3])
    met = meet([one, other])
    assert (met.reads, met.unlike, met.unfinished) == (2, 1, [0, 1])
    first, second = (it.only(places) for it, places in zip((one, other), met.places, strict=True))
    assert fingerprint(first) == fingerprint(second) != fingerprint(one)
    assert first.counts("type", "SNV")[0].tolist() == [1, 0]
    assert first.counts()[2].tolist() == [0, 1]
    assert meet([run([1], [0]), run([1], [0])]).unlike == 1, "a read without a checksum is like no other"


def test_a_league_has_differences_levels_flips_and_the_front() -> None:
    rng = np.random.default_rng(1)
    exact = (rng.random(2000) < 0.7).astype(int)
    better = np.where(rng.random(2000) < 0.5, 1, exact)
    found = compare([run([*exact]), run([*better]), run([*exact])], [(2.0, 2000), (6.0, 2000), (3.0, 1500)], margin=0.01)
    up, same = found.pairs
    assert (up["exact"]["verdict"], same["exact"]["verdict"]) == ("better", "equivalent")
    assert up["discordant"] == {**up["discordant"], "gained": int((better - exact).sum()), "lost": 0}
    assert up["flips"] == [{"type": "SNV", "gained": int((better - exact).sum()), "lost": 0}]
    recall = next(it for it in up["levels"] if (it["level"], it["measure"]) == ("SNV", "recall"))
    assert recall["q"] < 1e-6 < recall["difference"]
    assert [standing["costs"]["on_front"] for standing in found.standings] == [True, True, False]
    assert found.standings[2]["costs"]["usd_per_1000_reads"] == pytest.approx(2.0)
    assert found.standings[1]["costs"]["usd_per_variant_found"] == pytest.approx(6 / better.sum())
    assert len(compare([run([1, 0, 1])] * 3, [(0.0, 3)] * 3, margin=0.1, all_pairs=True).pairs) == 3
