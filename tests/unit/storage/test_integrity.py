"""A read that is not what its source made is found before its row is written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from helix_ray.records import Disposition, Read, ReadResult, ScoredVariant, Variant
from helix_ray.storage.integrity import CORRUPTED, result_problem, verified
from support.list_source import sample_read

SNV = Variant(3, "A", "T", "SNV", "snv", 1, "test:2:A:T", "tv")


def checksum(ref_seq: str, seq: str, truth: list[tuple[int, str, str]] | None) -> int:
    """Not a good one, but it depends on all that it must, and refuses what Rust would."""
    alleles = None if truth is None else [(pos.to_bytes(4), ref, alt) for pos, ref, alt in truth]
    return hash((ref_seq.encode(), seq.encode(), str(alleles))) % 2**64


def paid(**damage: object) -> ReadResult:
    read = sample_read(0)._replace(truth=(SNV,), seq="AAT" + "A" * 37)
    read = read._replace(checksum=checksum(read.ref_seq, read.seq, [variant[:3] for variant in read.truth or ()]))
    rows = [
        ScoredVariant("truth", *SNV[:5], None, None, "TP", None),
        ScoredVariant("call", *SNV[:4], None, 0.9, "ok", "TP", None),
        ScoredVariant("baseline", *SNV[:4], None, None, "ok", "TP", None),
    ]
    read = read._replace(**damage)  # type: ignore[arg-type]
    return ReadResult(read, Disposition.STORED, rows, mutation_detected=True, raw_answer="{}" * 9999, call_id="c", cost_usd=Decimal(1))


def test_a_read_that_arrived_whole_is_left_alone() -> None:
    results = [paid(), paid(checksum=None), paid(read_id="another", qual="I" * 40)]
    found = verified(results, checksum)
    assert all(after is before for after, before in zip(found, results, strict=True))


@pytest.mark.parametrize(
    "damage",
    [
        {"ref_seq": "A" * 39 + "C"},
        {"seq": "A" * 40},
        {"truth": (SNV._replace(pos=4),)},
        {"truth": (SNV._replace(alt="C"),)},
        {"truth": ()},
        {"truth": None},
        {"checksum": 1},
        {"seq": "AAT\ud800"},
        {"seq": "A\x00T"},
        {"truth": (SNV._replace(pos=-1),)},
    ],
)
def test_a_damaged_read_is_a_dead_letter_that_keeps_the_answer(damage: dict[str, object]) -> None:
    (found,) = verified([paid(**damage)], checksum)
    assert (found.disposition, found.error_kind, found.mutation_detected) == (Disposition.DEAD_LETTER, CORRUPTED, None)
    assert (found.raw_answer, found.call_id, found.cost_usd) == ("{}" * 9999, "c", Decimal(1))
    assert [(row.side, row.match) for row in found.variants] == [("truth", "FN")], "what was found in it does not count"
    assert result_problem(found) is None


def test_both_checksums_and_the_former_ending_are_named() -> None:
    damaged: Read = paid().read._replace(seq="T")
    (found,) = verified([ReadResult(damaged, Disposition.DEAD_LETTER, error_kind="refused", error="no")], checksum)
    assert found.error is not None
    assert str(damaged.checksum) in found.error
    assert str(checksum(damaged.ref_seq, "T", [SNV[:3]])) in found.error
    assert found.error.endswith("it had ended as refused: no")
