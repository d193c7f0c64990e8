"""Batches are cut to what one call may carry."""

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from helix_ray.producer.splitting import split
from helix_ray.records import Disposition, Read, ReadBatch, Variant

bases = st.text("ACGTN", max_size=400)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
variants = st.builds(
    Variant,
    st.integers(1, 2000),
    st.text("ACGT", min_size=1, max_size=50),
    st.text("ACGT", min_size=1),
    st.sampled_from(["SNV", "DELINS"]),
    st.sampled_from(["snv", "complex"]),
    st.none() | st.integers(0, 2**16),
    st.none() | names,
    st.sampled_from([None, "ti", "tv"]),
)
reads = st.builds(
    Read,
    st.integers(0, 2**62),
    names,
    names,
    st.integers(0, 2**40),
    st.sampled_from("+-"),
    bases,
    bases,
    st.none() | st.text("!I~", max_size=400),
    st.none() | st.lists(variants, max_size=5).map(tuple),
    st.none() | st.booleans(),
    st.none() | st.dictionaries(st.sampled_from(["gc", "mapq", "max_homopolymer", "min_gap", "length"]), st.floats(0, 1)),
    st.none() | st.sampled_from(Disposition),
    st.none() | names,
    names,
    st.none() | st.lists(variants, max_size=5).map(tuple),
    st.none() | st.integers(0, 2**64 - 1),
)


@settings(max_examples=60)
@given(st.lists(reads, max_size=12), st.integers(1, 8000))
def test_parts_are_small_and_lose_nothing(rows: list[Read], max_bytes: int) -> None:
    parts = split(ReadBatch.from_rows(rows), max_bytes)
    assert [row for part in parts for row in part.rows()] == rows
    for part in parts:
        assert part.size == 1 or len(pickle.dumps(part, protocol=5)) <= max_bytes


def test_a_batch_that_fits_stays_whole() -> None:
    read = Read(1, "r", "c", 0, "+", "ACGT", "ACGT", None, (), True, None, None, None)
    batch = ReadBatch.from_rows([read] * 20)
    assert split(batch) == [batch]
    assert split(ReadBatch.from_rows([])) == []
