"""FASTA and FASTQ files, placed on a reference."""

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from helix_ray.config import Config
from helix_ray.config.mutation import MutationConfig
from helix_ray.errors import InputError
from helix_ray.native import rust
from helix_ray.records import Disposition, Read
from helix_ray.sources import check_source, make_source

MODEL = MutationConfig(read_length=2000, variants_per_read=[1.0], low_complexity_fraction=0.0).to_generator_json()
CONTIGS = rust.generate(5, MODEL, 0, 2)[3]
STRANGER = rust.generate(6, MODEL, 0, 1)[3][0][:150]
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def reverse_complement(seq: str) -> str:
    return seq.translate(COMPLEMENT)[::-1]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "ref.fa"
    path.write_text(f">c0 first\n{CONTIGS[0]}\n>c1\n{CONTIGS[1].lower()}\n")
    return path


@pytest.fixture
def configure(tmp_path: Path, reference: Path) -> Callable[..., Config]:
    def build(name: str, content: str | bytes, **source: object) -> Config:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        kind = "fasta" if ".fa" in name and ".fastq" not in name else "fastq"
        return Config.model_validate(
            {"source": {"kind": kind, "path": str(path), "reference": str(reference), "count": None, "batch_size": 3, **source}}
        )

    return build


def record(name: str, seq: str, qual: str | None = None) -> str:
    return f"@{name}\n{seq}\n+\n{qual or 'I' * len(seq)}\n"


def read_all(config: Config) -> list[Read]:
    source = make_source(config)
    rows: list[Read] = []
    while (block := source.block(len(rows) // config.source.batch_size)) is not None:
        rows += block.rows()
        if block.size < config.source.batch_size:
            break
    assert source.block(10**6) is None
    assert source.total == len(rows)
    assert [row.read_index for row in rows] == list(range(len(rows)))
    return rows


def endings(rows: list[Read]) -> list[tuple[Disposition | None, str | None]]:
    return [(row.disposition, row.reason) for row in rows]


def test_the_window_is_what_the_read_covers(configure: Callable[..., Config]) -> None:
    window = CONTIGS[1][500:650]
    seq = window[:70] + ("A" if window[70] != "A" else "C") + window[71:100] + "N" + window[101:]
    (read,) = read_all(configure("r.fastq", record("r1 a comment", seq.lower())))
    assert (read.read_id, read.contig, read.ref_start, read.strand) == ("r1", "c1", 500, "+")
    assert (read.ref_seq, read.seq, read.qual) == (window, seq, "I" * 150)
    assert (read.truth, read.identifiable, read.disposition, read.reason) == (None, None, None, None)
    assert (read.source, read.errors, read.checksum) == ("fastq", None, rust.checksum(window, seq, None))
    assert read.strata is not None
    assert {key: read.strata[key] for key in ("length", "clipped", "mapq", "n_bases")} == {
        "length": 150,
        "clipped": 0,
        "mapq": 60,
        "n_bases": 1,
    }


def test_reverse_reads_are_turned_and_soft_clips_cut(configure: Callable[..., Config]) -> None:
    window = CONTIGS[0][300:450]
    seq = STRANGER[:30] + reverse_complement(window)
    qual = "#" * 30 + "".join(chr(33 + place % 40) for place in range(150))
    (read,) = read_all(configure("r.fastq.gz", gzip.compress(record("r", seq, qual).encode())))
    assert (read.contig, read.strand) == ("c0", "-")
    assert read.strata is not None
    clipped = int(read.strata["clipped"])
    assert 28 <= clipped <= 32
    assert read.seq == reverse_complement(seq[clipped:])
    assert read.qual == qual[clipped:][::-1]
    assert CONTIGS[0][read.ref_start : read.ref_start + len(read.ref_seq)] == read.ref_seq


def test_fasta_has_no_qualities(configure: Callable[..., Config]) -> None:
    window = CONTIGS[0][0:120]
    (read,) = read_all(configure("r.fa", f">x\n{window[:60]}\n{window[60:]}\n"))
    assert (read.seq, read.ref_seq, read.qual, read.source) == (window, window, None, "fasta")


def test_every_ending_has_its_row(configure: Callable[..., Config]) -> None:
    records = [
        record("fine", CONTIGS[0][100:250]),
        record("stranger", STRANGER),
        record("empty", ""),
        record("short", CONTIGS[0][100:124]),
        record("least", CONTIGS[0][100:125]),
        record("codes", CONTIGS[0][100:200] + "RYK"),
        record("long", CONTIGS[0][:1200]),
        record("broken", "ACGT", "II"),
        record("", CONTIGS[1][100:250]),
    ]
    rows = read_all(configure("r.fastq", "".join(records), on_error="skip"))
    assert endings(rows) == [
        (None, None),
        (Disposition.UNPLACED, "no_hit"),
        (Disposition.UNPLACED, "empty_read"),
        (Disposition.UNPLACED, "too_short"),
        (None, None),
        (Disposition.FILTERED, "iupac"),
        (Disposition.FILTERED, "too_long"),
        (Disposition.MALFORMED, "line 29: Sequence length is 4 but quality length is 2"),
        (None, None),
    ]
    assert [row.read_id for row in rows] == ["fine", "stranger", "empty", "short", "least", "codes", "long", "broken", "record9"]
    assert (rows[1].seq, rows[6].seq, rows[6].strata) == (STRANGER, "", {"length": 1200.0})


def test_limits_are_inclusive(configure: Callable[..., Config]) -> None:
    (read,) = read_all(configure("r.fastq", record("r", CONTIGS[0][100:250]), min_mapping_quality=60, max_read_length=150))
    assert read.disposition is None


def test_ambiguity_codes_are_filtered_or_become_n(configure: Callable[..., Config]) -> None:
    window = CONTIGS[0][100:250]
    content = record("codes", window[:50] + "R" + window[51:]) + record("rna", window[:50] + "U" + window[51:])
    assert endings(read_all(configure("r.fastq", content))) == [(Disposition.FILTERED, "iupac")] * 2
    codes, rna = read_all(configure("r.fastq", content, iupac="n"))
    assert (codes.disposition, codes.seq, codes.ref_seq) == (None, window[:50] + "N" + window[51:], window)
    assert codes.strata is not None
    assert codes.strata["n_bases"] == 1
    assert endings([rna]) == [(Disposition.FILTERED, "iupac")]  # U is no ambiguity and no DNA


def test_ambiguity_codes_of_the_reference(tmp_path: Path, configure: Callable[..., Config]) -> None:
    reference = tmp_path / "codes.fa"
    reference.write_text(f">c0\n{CONTIGS[0][:170]}K{CONTIGS[0][171:]}\n")
    content = record("r", CONTIGS[0][100:250])
    assert endings(read_all(configure("r.fastq", content, reference=str(reference)))) == [(Disposition.FILTERED, "iupac")]
    (read,) = read_all(configure("r.fastq", content, reference=str(reference), iupac="n"))
    assert (read.disposition, read.ref_seq[70], read.seq) == (None, "N", CONTIGS[0][100:250])


def test_interleaved_mates_are_refused_before_the_start(configure: Callable[..., Config]) -> None:
    mates = [record(f"{name}/{mate}", CONTIGS[0][:100]) for name in "ab" for mate in (1, 2)]
    for content in ("".join(mates), "".join(mates[:2])):
        with pytest.raises(InputError, match=r"interleaved.*seqtk seq -1"):
            check_source(configure("r.fastq", content))


def test_two_files_are_no_path(configure: Callable[..., Config]) -> None:
    with pytest.raises(ValidationError, match="path: a run reads one file, found a list of 2; mates are not paired"):
        configure("r.fastq", "", path=["r_1.fastq", "r_2.fastq"])


def test_low_mapping_quality_keeps_its_place(tmp_path: Path, configure: Callable[..., Config]) -> None:
    twice = tmp_path / "twice.fa"
    twice.write_text(f">a\n{CONTIGS[0]}\n>b\n{CONTIGS[0]}\n")
    read, tiny = read_all(configure("r.fastq", record("r", CONTIGS[0][100:250]) + record("t", CONTIGS[0][100:130]), reference=str(twice)))
    assert endings([read, tiny]) == [(Disposition.FILTERED, "repeated")] * 2
    assert (read.ref_start, read.ref_seq) == (100, CONTIGS[0][100:250])


def test_a_malformed_record_stops_with_file_record_and_line(configure: Callable[..., Config]) -> None:
    config = configure("r.fastq", record("a", CONTIGS[0][:100]) * 4 + record("b", "ACGT", "I"))
    source = make_source(config)
    assert source.block(0) is not None
    for _ in range(2):
        with pytest.raises(InputError, match=r"r\.fastq: record 5 \(line 17\): Sequence length is 4 but quality length is 1; mend"):
            source.block(1)


def test_blocks_may_be_asked_again_and_in_any_order(configure: Callable[..., Config]) -> None:
    config = configure("r.fastq", "".join(record(f"r{i}", CONTIGS[0][i * 100 : i * 100 + 100]) for i in range(10)))
    source = make_source(config)
    forward = [source.block(index) for index in range(4)]
    named = [[read.read_id for read in block.rows()] if block else None for block in forward]
    assert named == [["r0", "r1", "r2"], ["r3", "r4", "r5"], ["r6", "r7", "r8"], ["r9"]]
    assert [source.block(index) for index in (3, 1, 0, 2)] == [forward[index] for index in (3, 1, 0, 2)]
    fresh = make_source(config)
    assert fresh.total is None
    assert fresh.block(9) is None
    assert fresh.total == 10


@pytest.mark.parametrize(("count", "total"), [(4, 4), (3, 3), (10, 5)])
def test_count_ends_a_file_early(configure: Callable[..., Config], count: int, total: int) -> None:
    rows = read_all(configure("r.fastq", record("r", CONTIGS[0][:100]) * 5, count=count))
    assert len(rows) == total


def test_a_file_that_changes_meanwhile_is_refused(configure: Callable[..., Config], tmp_path: Path) -> None:
    source = make_source(configure("r.fastq", record("r", CONTIGS[0][:100]) * 9))
    assert source.block(2) is not None
    with (tmp_path / "r.fastq").open("a") as file:
        file.write(record("more", "ACGT"))
    with pytest.raises(InputError, match="changed while the run was reading it"):
        source.block(0)


def test_truncated_gzip_is_an_error_and_no_end(configure: Callable[..., Config]) -> None:
    whole = gzip.compress("".join(record(f"r{i}", CONTIGS[0][i : i + 100]) for i in range(50)).encode())
    with pytest.raises(InputError, match="end early"):
        read_all(configure("r.fastq.gz", whole[:-9], on_error="skip"))


def test_checksums(configure: Callable[..., Config], reference: Path) -> None:
    content = record("r", CONTIGS[0][:100])
    config = configure("r.fastq", content)
    checksum = check_source(config)
    reads, other = hashlib.sha256(content.encode()).hexdigest(), hashlib.sha256(reference.read_bytes()).hexdigest()
    assert checksum == hashlib.sha256(f"{reads}\n{other}\n".encode()).hexdigest()
    assert check_source(config) == checksum
    reference.write_text(reference.read_text() + ">c2\nACGT\n")
    assert check_source(config) != checksum


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("r.fastq", "", "is empty"),
        ("r.fastq", ">a\nACGT\n", "set source.kind: fasta"),
        ("r.fa", "@a\nACGT\n+\nIIII\n", "set source.kind: fastq"),
        ("r.fastq", "BZh9", "bzip2"),
        ("r.fastq", "@a\nACGT\n+\nIII\n", r"record 1 \(line 1\)"),
        ("r.fastq.gz", gzip.compress(b"")[:12], "end early"),
    ],
)
def test_files_that_cannot_start(configure: Callable[..., Config], name: str, content: str | bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_source(configure(name, content))


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "is empty"), (">a\nAC?T\n", "base 3 is"), ("ACGT\n", "begins with 'A'"), (">a\nAC\n>a\nAC\n", "appears twice")],
)
def test_references_that_cannot_be_used(configure: Callable[..., Config], tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "bad.fa").write_text(content)
    config = configure("r.fastq", record("r", CONTIGS[0][:100]), reference=str(tmp_path / "bad.fa"))
    for call in (check_source, make_source):
        with pytest.raises(InputError, match=words):
            call(config)


@pytest.mark.parametrize("kind", ["fastq", "pairs"])
def test_pipes_directories_and_missing_files_do_not_block(tmp_path: Path, reference: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe.tsv")
    (tmp_path / "folder.tsv").mkdir()
    for name, words in [("pipe.tsv", "is a pipe"), ("folder.tsv", "is a directory"), ("none.tsv", "no such file")]:
        source = {"kind": kind, "path": str(tmp_path / name)} | ({"reference": str(reference)} if kind == "fastq" else {})
        config = Config.model_validate({"source": source})
        for call in (check_source, make_source):
            with pytest.raises(InputError, match=words):
                call(config)
