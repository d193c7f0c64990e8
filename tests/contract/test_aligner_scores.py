"""The baseline's scores are those of WFA2 and of parasail; 20,000 pairs in benchmarks/check_aligner.py."""

import pytest

from support.alignment import KINDS, differing, of_kind


@pytest.mark.parametrize("kind", KINDS)
def test_no_score_differs(kind: str) -> None:
    assert differing(of_kind(kind, 500, seed=2)) == {"WFA2": 0, "parasail": 0}
