"""Pairs of window and read from TSV and JSON lines."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helix_ray.config import Config
from helix_ray.errors import InputError
from helix_ray.native import rust
from helix_ray.records import Disposition, Read
from helix_ray.sources import check_source, make_source


def config(path: Path, **source: object) -> Config:
    return Config.model_validate({"source": {"kind": "pairs", "path": str(path), "count": None, **source}})


def read_all(path: Path, content: str | bytes, **source: object) -> list[Read]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    opened = make_source(config(path, **source))
    rows = [row for index in range(100) if (block := opened.block(index)) for row in block.rows()]
    assert opened.total == len(rows)
    return rows


@pytest.mark.parametrize(
    "header",
    ["", "id\twindow\tread\n", "\ufeffID\tWindow\tRead\r\n", "#id\twindow\tread\n", "# ID\tWindow\tRead\n", "#Id \twindow\tREAD\r\n"],
)
def test_tsv_with_and_without_header(tmp_path: Path, header: str) -> None:
    rows = read_all(tmp_path / "p.tsv", f"{header}a\tACGT\tacga\n\nb\tGGNN\tGG\r\n")
    assert [(row.read_index, row.read_id, row.ref_seq, row.seq) for row in rows] == [(0, "a", "ACGT", "ACGA"), (1, "b", "GGNN", "GG")]
    first = rows[0]
    assert (first.contig, first.ref_start, first.strand, first.qual, first.truth) == ("a", 0, "+", None, None)
    assert (first.source, first.errors, first.checksum) == ("pairs", None, rust.checksum("ACGT", "ACGA", None))
    assert (first.disposition, first.strata) == (None, {"length": 4.0, "n_bases": 0.0, "gc": 0.5, "max_homopolymer": 1.0})


def test_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"p{i}", "window": "ACGT", "read": "ACT"}) for i in range(130)]
    rows = read_all(tmp_path / "p.jsonl", "\n".join(lines))
    assert [row.read_id for row in rows] == [f"p{i}" for i in range(130)]


MALFORMED = [
    ("p.tsv", "a\tACGT\n", "2 columns"),
    ("p.tsv", "a\tACGT\tAC-T\n", "base 3 of the read is '-'"),
    ("p.tsv", "a\t\tACGT\n", "the window is empty"),
    ("p.tsv", "\tACGT\tACGT\n", "the id must be"),
    ("p.txt", b"a\tACGT\tAC\xffT\n", "byte 10 of the line is not UTF-8"),
    ("p.jsonl", '{"id": "a"\n', "not JSON"),
    ("p.jsonl", '["a"]\n', "expected"),
    ("p.jsonl", '{"id": "a", "window": "ACGT", "read": "ACGT", "more": 1}\n', "no other key"),
    ("p.jsonl", '{"id": 7, "window": "ACGT", "read": "ACGT"}\n', "expected"),
    ("p.jsonl", "[" * 100_000 + "\n", "nested too deeply"),
    ("p.jsonl", '{"id": "a\\u0000", "window": "ACGT", "read": "ACGT"}\n', "printable"),
]


@pytest.mark.parametrize(("name", "bad", "words"), MALFORMED)
def test_a_malformed_line_stops_or_becomes_a_row(tmp_path: Path, name: str, bad: str | bytes, words: str) -> None:
    path = tmp_path / name
    good = b'{"id": "g", "window": "ACGT", "read": "ACGT"}\n' if name.endswith("jsonl") else b"g\tACGT\tACGT\n"
    content = good + (bad if isinstance(bad, bytes) else bad.encode()) + good
    path.write_bytes(content)
    source = make_source(config(path))
    for _ in range(2):  # asked again, it says the same
        with pytest.raises(InputError) as caught:
            source.block(0)
        assert str(caught.value).startswith(f"{path}: record 2 (line 2): ")
        assert words in str(caught.value)
        assert "source.on_error: skip" in str(caught.value)
    rows = read_all(path, content, on_error="skip")
    assert [row.disposition for row in rows] == [None, Disposition.MALFORMED, None]
    assert rows[1].read_id == "record2"
    assert rows[1].reason
    assert rows[1].reason.startswith("line 2: ")
    assert words in rows[1].reason


def test_ambiguity_codes_become_n_where_that_is_asked_for(tmp_path: Path) -> None:
    rows = read_all(tmp_path / "p.tsv", "a\tACRT\tACYK\nb\tACGT\tACGU\n", iupac="n")
    assert [(row.ref_seq, row.seq, row.reason) for row in rows] == [("ACNT", "ACNN", None), ("ACGT", "ACGU", "iupac")]
    assert rows[0].strata is not None
    assert rows[0].strata["n_bases"] == 2


def test_fasta_ids_that_differ_twice_in_a_row_end_the_run(tmp_path: Path) -> None:
    one_record_missing = ">p1\nAC\n>p1\nAC\n>p2\nAC\n>p3\nGT\n>p3\nGG\n>p4\nGG\n"
    with pytest.raises(InputError, match=r"p\.fa: record 5 \(line 9\): again the ids of a pair differ: which records are pairs is lost"):
        read_all(tmp_path / "p.fa", one_record_missing, on_error="skip")


IDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=30)
BASES = st.text("ACGTNacgtn", min_size=1, max_size=60)
FORMATS: dict[str, Callable[[str, str, str], str]] = {
    "p.tsv": "{}\t{}\t{}\n".format,
    "p.jsonl": lambda name, window, read: json.dumps({"id": name, "window": window, "read": read}) + "\n",
    "p.fa": lambda name, window, read: f">{name}/window\n{window}\n>{name}/read some words\n{read}\n",
}


@given(pairs=st.lists(st.tuples(IDS, BASES, BASES), min_size=1, max_size=20), name=st.sampled_from([*FORMATS]), zipped=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_come_back_as_they_were_written(tmp_path: Path, pairs: list[tuple[str, str, str]], name: str, zipped: bool) -> None:
    content = "".join(FORMATS[name](*pair) for pair in pairs).encode()
    rows = read_all(tmp_path / (name + ".gz" * zipped), gzip.compress(content, 1) if zipped else content)
    assert [(row.read_id, row.ref_seq, row.seq) for row in rows] == [(i, window.upper(), read.upper()) for i, window, read in pairs]


@given(
    content=st.lists(st.sampled_from([b"a", b"\t", b"AC", b"\n", b"\r", b">", b'{"id":', b'"a",', b"}", b"\xff", b"\0", b"[", b"/read"]))
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", FORMATS)
def test_any_bytes_end_in_rows_or_in_an_input_error(tmp_path: Path, content: list[bytes], name: str) -> None:
    try:
        rows = read_all(tmp_path / name, b"".join(content), on_error="skip")
    except InputError as error:
        assert str(error).startswith(str(tmp_path / name))
    else:
        assert [row.read_index for row in rows] == list(range(len(rows)))
        assert all(row.reason for row in rows if row.disposition is Disposition.MALFORMED)


def test_filtered_pairs(tmp_path: Path) -> None:
    rows = read_all(tmp_path / "p.tsv", f"a\tACGT\tACRT\nb\tACYT\tACGT\nc\tACGT\t{'A' * 1001}\n")
    assert [(row.disposition, row.reason) for row in rows] == [(Disposition.FILTERED, reason) for reason in ("iupac", "iupac", "too_long")]
    assert (rows[0].seq, rows[2].seq, rows[2].strata) == ("ACRT", "", {"length": 1001.0})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.csv", "a,ACGT,ACGT\n", "1 columns separated by tabs"),
        ("p.tsv", "", "is empty"),
        ("p.tsv", "id\twindow\tread\n", "holds no pairs"),
        ("p.tsv", "nothing\n", "1 columns"),
        ("p.tsv", "a" * 1_048_577, "longer than 1048576 bytes"),
    ],
)
def test_files_that_cannot_start(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        check_source(config(tmp_path / name))
