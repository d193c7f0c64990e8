"""Index ranges behave as the set that they stand for, at any number of gaps."""

import pickle
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.queueing.ranges import IndexRanges

pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=25)


@given(pairs)
def test_equals_the_set_of_its_indices(given_pairs: list[tuple[int, int]]) -> None:
    ranges = IndexRanges(given_pairs)
    expected = {index for start, end in given_pairs for index in range(start, end)}
    assert {index for start, end in ranges for index in range(start, end)} == expected
    assert sum(end - start for start, end in ranges) == len(expected)
    assert all((index in ranges) == (index in expected) for index in range(80))


@given(pairs)
def test_stays_sorted_and_disjoint_with_a_gap_between_any_two(given_pairs: list[tuple[int, int]]) -> None:
    held = list(IndexRanges(given_pairs))
    assert all(start < end for start, end in held)
    assert all(end < start for (_, end), (start, _) in pairwise(held))


@given(pairs, st.integers(0, 80))
def test_first_missing_is_the_next_hole(given_pairs: list[tuple[int, int]], start: int) -> None:
    ranges = IndexRanges(given_pairs)
    found = ranges.first_missing(start)
    assert found not in ranges
    assert all(index in ranges for index in range(start, found))


def test_adding_tells_what_is_new() -> None:
    ranges = IndexRanges()
    assert [ranges.add(index) for index in (5, 5, 4, 6, 5)] == [True, False, True, True, False]
    assert list(ranges) == [(4, 7)]


def test_a_gap_takes_sixteen_bytes_here_and_on_its_way_and_an_index_takes_none() -> None:
    gaps = 200_000
    tracemalloc.start()
    ranges = IndexRanges((first, first + 100) for first in range(0, 101 * gaps, 101))
    held, at_most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ranges) == gaps
    assert held <= at_most <= 18 * gaps
    sent = pickle.dumps(ranges)
    assert len(sent) <= 17 * gaps
    assert pickle.loads(sent).first_missing(101 * (gaps - 1)) == 101 * gaps - 1


def test_a_reversed_or_negative_range_is_refused() -> None:
    for start, end in ((3, 1), (-1, 2)):
        with pytest.raises(ValueError, match="range"):
            IndexRanges([(start, end)])
