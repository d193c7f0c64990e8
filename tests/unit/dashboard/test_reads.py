"""Window over read, and the log of alerts."""

from dataclasses import replace

import pytest

from helix_ray._dashboard import reads
from helix_ray._dashboard.drawing import macros
from helix_ray._dashboard.reads import ALL, DEAD, WRONG, Column, aligned
from helix_ray.metrics.recent import Mark, RecentRead
from helix_ray.metrics.snapshot import MetricsSnapshot

SNV = Mark(3, "G", "T", "SNV", "found")
READ = RecentRead(
    7, "hx7", "stored", True, ("3 G>T SNV",), finished_at=1_700_000_000.0, latency_ms=69.4, ref_seq="ACGTACGT", seq="ACTTACGT", marks=(SNV,)
)


def marks(read: RecentRead) -> str:
    return " ".join(str(macros("books.html").marks(read)).split())


def rows(columns: list[Column]) -> tuple[str, str, str]:
    signs = "".join(macros("books.html").SIGNS[column.kind] if column.first else " " for column in columns)
    return "".join(column.window for column in columns), "".join(column.read for column in columns), signs.rstrip()


@pytest.mark.parametrize(
    ("window", "read", "marks", "expected"),
    [
        ("ACGTACGT", "ACTTACGT", [SNV], ("ACGTACGT", "ACTTACGT", "  ✓")),
        ("ACGTACGT", "ACTTACGT", [replace(SNV, kind="missed")], ("ACGTACGT", "ACTTACGT", "  ○")),
        ("ACGTACGT", "ACGTACGT", [replace(SNV, kind="invented")], ("ACGTACGT", "ACGTACGT", "  ✗")),
        ("ACGTACGT", "ACGCATACGT", [Mark(3, "G", "GCA", "INS", "missed")], ("ACG--TACGT", "ACGCATACGT", "   ○")),
        ("ACGTACGT", "ACGGT", [Mark(3, "GTAC", "G", "DEL", "found")], ("ACGTACGT", "ACG---GT", "   ✓")),
        ("ACGTACGT", "ACTTACTT", [SNV], ("ACGTACGT", "ACTTACTT", "  ✓   ·")),
        ("ACGTACGT", "ACGTACNT", [], ("ACGTACGT", "ACGTACNT", "")),
        ("ACGT", "ACGTA", [], ("ACGT-", "ACGTA", "")),
        ("AC<T", "AC<T", [], ("AC?T", "AC?T", "")),
        ("ACGT", "ACGT", [Mark(2, "C…", "G", "MNV", "found"), Mark(99, "A", "C", "SNV", "invented")], ("ACGT", "ACGT", "")),
    ],
)
def test_marks_align_the_read_with_its_window(window: str, read: str, marks: list[Mark], expected: tuple[str, str, str]) -> None:
    assert rows(aligned(window, read, marks)) == expected


def test_a_strip_shows_the_bases_around_the_first_difference() -> None:
    window = "A" * 200
    drawn = reads.strip(window, window[:150] + "C" + window[151:], (Mark(151, "A", "C", "SNV", "found"),))
    assert '<mark class="found">C</mark>' in drawn
    assert "…" in drawn
    assert len(drawn) < 2 * reads.COLUMNS + 500


def test_rows_that_do_not_align_are_not_said_to_differ_everywhere() -> None:
    assert "·" not in reads.strip("ACGT" * 10, "CGTA" * 10, ())


def test_the_whole_alignment_counts_the_bases_of_the_window() -> None:
    drawn = reads.whole("A" * 150, "A" * 2 + "C" + "A" * 148, (Mark(2, "A", "AC", "INS", "found"),))
    assert [place for place in ("from base 1<", "from base 100<") if place not in drawn] == []


def test_marks_are_told_by_sign_colour_and_word() -> None:
    missed = Mark(5, "A", "G", "SNV", "missed")
    told = marks(replace(READ, marks=(SNV, missed)))
    assert '<span class="found">✓ 3 G&gt;T SNV</span>' in told
    assert '<span class="missed">○ 5 A&gt;G SNV missed</span>' in told
    assert marks(replace(READ, marks=(SNV,) * 9)).endswith(" and 6 more")
    assert "dead letter: parse_error" in marks(replace(READ, disposition="dead_letter", error_kind="parse_error"))


def test_the_log_is_filtered_and_the_newest_comes_first() -> None:
    wrong = replace(READ, read_index=8, mutation_detected=False, finished_at=READ.finished_at + 1, marks=(replace(SNV, kind="missed"),))
    dead = replace(READ, read_index=9, disposition="dead_letter", marks=())
    snapshot = MetricsSnapshot(1.0, recent_reads=(dead, wrong, READ), recent_alerts=(READ,))
    found = {which: [read.read_index for read in reads.chosen(snapshot, which)] for which in reads.FILTERS}
    assert found == {ALL: [7], WRONG: [8], DEAD: [9]}
    assert "22:13:20" in reads.alert_log(snapshot, ALL)
    assert "69 ms" in reads.alert_log(snapshot, ALL)
    assert "No alert yet" in reads.alert_log(MetricsSnapshot(1.0), ALL)


def test_what_was_written_elsewhere_is_escaped() -> None:
    bad = "<img src=x>"
    read = replace(READ, read_id=bad, calls=(bad,), marks=(Mark(3, bad, bad, bad, "invented"),), ref_seq="<b>" * 3, seq="<b>" * 3)
    snapshot = MetricsSnapshot(1.0, recent_reads=(read, replace(read, disposition=bad, error_kind=bad)), recent_alerts=(read,))
    drawn = reads.feed(snapshot) + reads.alert_log(snapshot, ALL)
    assert "<img" not in drawn
    assert "?b?" not in drawn, "no letter but those of bases"
