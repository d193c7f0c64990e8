"""What cannot be stored is escaped, and a damaged read is found before its row is written."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.records import Disposition, Read, ReadResult, ScoredVariant, Variant
from helix_ray.storage.integrity import (
    CORRUPTED,
    KEPT_CHARS,
    MAX_TEXT_CHARS,
    as_unstorable,
    result_problem,
    storable,
    text_problem,
    verified,
)
from helix_ray.storage.rows import baseline_calls, read_row, variant_rows
from helix_ray.storage.statements import migrations, statements
from support.list_source import sample_read

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


@given(ANY_TEXT)
def test_what_is_stored_can_be_stored(text: str) -> None:
    escaped = storable(text)
    assert text_problem(escaped) is None
    assert "\x00" not in escaped
    escaped.encode()
    if text_problem(text) is None:
        assert escaped == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, None),
        ("", None),
        ("ACGT é 😀", None),
        ("AC\x00GT", "U+0000 at offset 2"),
        ("x\ud812", "U+D812 at offset 1"),
        ("x" * (MAX_TEXT_CHARS + 1), f"{MAX_TEXT_CHARS + 1} characters"),
    ],
)
def test_problems_are_named(text: str | None, problem: str | None) -> None:
    found = text_problem(text)
    assert found is None if problem is None else problem in (found or "")


def test_escapes_are_readable_and_long_texts_are_cut() -> None:
    assert storable("a\x00b\ud800") == "a\\x00b\\ud800"
    assert storable("y" * (KEPT_CHARS + 5)) == "y" * KEPT_CHARS + f"… ({KEPT_CHARS + 5} characters)"


def test_a_dead_letter_keeps_what_it_can() -> None:
    good = ScoredVariant("truth", 5, "A", "T", "SNV", "snv", None, None, "TP", "r\x00")
    bad = [good._replace(pos=0), good._replace(type="?"), good._replace(alt=""), good._replace(event="odd"), good._replace(side="call")]
    read = sample_read(3)._replace(seq="A\x00", strata={"gc": float("nan")}, ref_start=2**70)
    result = ReadResult(
        read, Disposition.STORED, [good, *bad], mutation_detected=True, latency_ms=float("inf"), raw_answer="\x00", call_id="c"
    )
    assert result_problem(result) == "character U+0000 at offset 1 cannot be stored as text"
    dead_letter = as_unstorable(result, "the reason")
    assert (dead_letter.disposition, dead_letter.error_kind, dead_letter.error) == (Disposition.DEAD_LETTER, "unstorable", "the reason")
    assert (dead_letter.read.seq, dead_letter.raw_answer, dead_letter.call_id) == ("A\\x00", "\\x00", "c")
    assert (dead_letter.read.strata, dead_letter.latency_ms, dead_letter.mutation_detected) == (None, None, None)
    assert dead_letter.variants == [good._replace(match="FN", reason=None, detail="failed")]
    assert result_problem(dead_letter) is None
    assert read_row("run", dead_letter, NOW)[5] is None, "a start that is no place is not stored"


def test_the_field_that_is_wrong_is_found_in_a_variant_too() -> None:
    odd = ScoredVariant("call", 1, "A", "\ud800", None, None, None, "bad_base", None, None)
    assert "U+D800" in (result_problem(ReadResult(sample_read(0), Disposition.STORED, [odd])) or "")


def test_ordinals_count_within_a_side() -> None:
    sides = ["truth", "call", "truth", "call", "baseline"]
    variants = [ScoredVariant(side, 1, "A", "T", "SNV", None, None, None, None, None) for side in sides]
    rows = list(variant_rows("run", ReadResult(sample_read(0), Disposition.STORED, variants)))
    assert [(row[2], row[3]) for row in rows] == [("truth", 0), ("call", 0), ("truth", 1), ("call", 1), ("baseline", 0)]


def test_errors_are_rows_of_their_own_and_a_truth_has_what_its_source_knows() -> None:
    truth = Variant(3, "A", "AT", "INS", "dup", 1, "test:2::T", None)
    error = Variant(9, "A", "G", "SNV", "snv", 1, "test:8:A:G", "ti")
    read = sample_read(0)._replace(truth=(truth,), errors=(error, error))
    scored = [ScoredVariant(side, 3, "A", "AT", "INS", None, None, None, "TP", None) for side in ("truth", "call", "baseline")]
    result = ReadResult(read, Disposition.STORED, scored)
    rows = [row[2:4] + row[13:16] for row in variant_rows("run", result)]
    assert rows == [
        ("truth", 0, 1, "test:2::T", None),
        ("call", 0, None, None, None),
        ("baseline", 0, None, None, None),
        ("error", 0, 1, "test:8:A:G", "ti"),
        ("error", 1, 1, "test:8:A:G", "ti"),
    ]
    assert baseline_calls(result) == 1
    assert baseline_calls(as_unstorable(result, "why")) is None
    assert baseline_calls(ReadResult(read._replace(disposition=Disposition.FILTERED), Disposition.FILTERED)) is None


def test_what_the_source_says_of_a_variant_is_checked_too() -> None:
    good = Variant(3, "A", "G", "SNV", "snv", 1, "c:2:A:G", "ti")
    bad = [good._replace(spdi="\x00"), good._replace(length=0), good._replace(titv="x"), good._replace(alt="")]
    read = sample_read(0)._replace(truth=(*bad, good), errors=(good, *bad), checksum=2**64)
    result = ReadResult(read, Disposition.STORED)
    assert "U+0000" in (result_problem(result) or "")
    kept = as_unstorable(result, "why").read
    assert (kept.truth, kept.errors, kept.checksum) == ((good,), (good,), None)


@pytest.mark.parametrize("strand", ["", ".", "*"])
def test_an_unknown_place_is_null_however_it_is_spelled(strand: str) -> None:
    read = sample_read(0)._replace(contig="", ref_start=-1, strand=strand)
    row = read_row("run", ReadResult(read, Disposition.UNPLACED), NOW)
    assert (row[4], row[5], row[6], row[29]) == (None, None, None, NOW)


def test_rows_have_the_columns_of_their_copy() -> None:
    for name, width in (("copy_reads", 43), ("copy_variants", 24), ("copy_calls", 26)):
        assert statements("writing")[name].count(b",") + 1 == width
    assert len(read_row("run", replace(ReadResult(sample_read(0), Disposition.STORED)), NOW)) == 43


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_statements_are_found_by_name() -> None:
    for file in ("session", "reading", "writing", "scoring"):
        assert statements(file)
        assert all(body and b"-- name:" not in body for body in statements(file).values())


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
