"""Synthetic reads: the same whoever asks, in whatever order, from made-up windows or from a reference's."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix_ray.config import Config
from helix_ray.config.mutation import MutationConfig
from helix_ray.errors import InputError, StartError
from helix_ray.native import Missing, rust
from helix_ray.producer.splitting import split
from helix_ray.records import Read, Variant
from helix_ray.sources import Source, check_source, extension, generator_version, make_source

PRESETS = ["bench", "wgsim", "human"]
CONTIGS = {"chr1": "ACGTTGCAAC" * 40 + "N" * 10 + "GGATCCATTA" * 30, "chr2": "R" + "TTAGGC" * 50}


def config(**source: object) -> Config:
    return Config.model_validate({"source": source})


def rows_of(source: Source, blocks: int = 1) -> list[Read]:
    return [row for index in range(blocks) if (block := source.block(index)) is not None for row in block.rows()]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "ref.fa"
    path.write_text("".join(f">{name} of a test\n{bases[:70]}\n{bases[70:].lower()}\n" for name, bases in CONTIGS.items()))
    return path


def test_blocks_are_addressed_at_random() -> None:
    source = make_source(config(count=120, batch_size=50))
    backwards = [source.block(index) for index in (2, 1, 0)]
    again = make_source(config(count=120, batch_size=50))
    assert [again.block(index) for index in (0, 1, 2)] == backwards[::-1]
    assert [block.read_index for block in backwards if block is not None] == [[*range(100, 120)], [*range(50, 100)], [*range(50)]]
    assert source.block(3) is None
    assert (source.total, check_source(config(count=120))) == (120, None)


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=10)
@given(size=st.integers(1, 130))
def test_a_read_does_not_depend_on_the_batch_size(preset: str, size: int) -> None:
    model = {"preset": preset}
    whole = rows_of(make_source(config(count=130, batch_size=130, mutation=model)))
    assert rows_of(make_source(config(count=130, batch_size=size, mutation=model)), blocks=-(-130 // size)) == whole


def test_a_made_up_read() -> None:
    rows = rows_of(make_source(config(batch_size=200)))
    assert [(row.read_id, row.contig) for row in rows] == [(f"hx{i}", f"hx{i}") for i in range(200)]
    assert {(row.source, row.ref_start, row.strand, row.qual, row.disposition, row.reason) for row in rows} == {
        ("synthetic", 0, "+", None, None, None)
    }
    assert {row.errors for row in rows} == {()}
    assert {variant.event for row in rows for variant in row.truth or ()} == {"snv", "ins", "del", "mnv", "dup", "inv"}
    for row in rows:
        assert row.truth is not None
        assert row.strata is not None
        assert all(isinstance(variant, Variant) and variant.spdi and variant.length for variant in row.truth)
        assert row.strata.keys() == {"gc", "max_homopolymer", "max_str", "n_truth", "length"} | (
            {"min_gap"} if len(row.truth) > 1 else set()
        )
        assert (row.strata["n_truth"], row.strata["length"]) == (len(row.truth), len(row.seq))
        assert row.strata.get("min_gap", 10.0) >= 10
        assert row.checksum == rust.checksum(row.ref_seq, row.seq, [variant[:3] for variant in row.truth])


def test_a_read_with_qualities_and_errors() -> None:
    rows = rows_of(make_source(config(batch_size=300, mutation={"preset": "human", "n_rate": 0.01})))
    assert {row.strand for row in rows} == {"+", "-"}
    assert {quality for row in rows for quality in row.qual or ""} <= {chr(33 + phred) for phred in (2, 12, 23, 37)}
    assert any(row.errors for row in rows)
    for row in rows:
        assert row.qual is not None
        assert len(row.qual) == len(row.seq)
        assert [row.qual[i] for i, base in enumerate(row.seq) if base == "N"] == ["#"] * row.seq.count("N")
        rebuilt = row.ref_seq
        for pos, ref, alt, *_ in sorted((*(row.truth or ()), *(row.errors or ())), reverse=True):
            assert rebuilt[pos - 1 : pos - 1 + len(ref)] == ref
            rebuilt = rebuilt[: pos - 1] + alt + rebuilt[pos - 1 + len(ref) :]
        assert len(rebuilt) == len(row.seq)
        assert all(base in ("N", made) for base, made in zip(row.seq, rebuilt, strict=True))


ERROR_SETTINGS = [
    {"base_error_rate": 0.3},
    {"quality_model": "fixed:20", "base_error_rate": "from_quality"},
    {"quality_model": "binned:[2,30]", "base_error_rate": "from_quality"},
    {"n_rate": 0.2},
    {"strand_flip_prob": 0.5},
]


@pytest.mark.parametrize("changed", ERROR_SETTINGS, ids=str)
def test_how_a_read_was_sequenced_leaves_its_truth_as_it_is(changed: dict[str, object]) -> None:
    plain = rows_of(make_source(config(batch_size=300)))
    sequenced = rows_of(make_source(config(batch_size=300, mutation=changed)))
    assert [(row.ref_seq, row.truth) for row in sequenced] == [(row.ref_seq, row.truth) for row in plain]
    assert [row.strata for row in sequenced] == [row.strata for row in plain]
    assert sequenced != plain


def test_endless() -> None:
    source = make_source(config(count=None))
    block = source.block(10**9)
    assert block is not None
    assert block.read_index[0] == 50 * 10**9
    assert source.total is None


def test_another_seed_gives_other_reads() -> None:
    one = make_source(config()).block(0)
    two = make_source(Config.model_validate({"run": {"seed": 43}})).block(0)
    assert one is not None
    assert two is not None
    assert one.rows()[0].ref_seq != two.rows()[0].ref_seq


def test_without_a_reference_there_is_no_file_to_check() -> None:
    assert check_source(config()) is None
    assert generator_version() == "2"


def test_windows_of_a_reference(reference: Path) -> None:
    model = {"variants_per_read": [1.0], "read_length": 30, "strand_flip_prob": 0.5}
    wanted = config(count=400, batch_size=400, reference=str(reference), mutation=model)
    rows = rows_of(make_source(wanted))
    assert {row.contig for row in rows} == {"chr1", "chr2"}
    assert {row.source for row in rows} == {"synthetic"}
    for row in rows:
        assert row.seq == row.ref_seq == CONTIGS[row.contig][row.ref_start : row.ref_start + 30]
        assert row.read_id == f"hx{row.read_index}"
    digest = hashlib.sha256(reference.read_bytes()).hexdigest()
    assert [check_source(wanted), check_source(wanted)] == [digest, digest]


def test_a_packed_reference_gives_the_same_windows(reference: Path) -> None:
    packed = reference.with_suffix(".fa.gz")
    packed.write_bytes(gzip.compress(reference.read_bytes()))
    assert rows_of(make_source(config(reference=str(packed)))) == rows_of(make_source(config(reference=str(reference))))


def test_a_variant_of_a_reference_window_names_its_place_there(reference: Path) -> None:
    for row in rows_of(make_source(config(reference=str(reference), batch_size=100))):
        for variant in row.truth or ():
            contig, start, deleted, _ = str(variant.spdi).split(":")
            assert contig == row.contig
            assert CONTIGS[contig][int(start) : int(start) + len(deleted)] == deleted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"ACGT\n", "ref.fa"),
        (b">a\n" + b"ACGT" * 20 + b"N" + b"ACGT" * 20, "source.mutation: read_length: the reference holds no 150 bases in a row"),
        (b">a\n" + b"ACGT" * 99 + b"\n>a\nAC", "contig 'a' appears twice"),
        (gzip.compress(b">a\n" + os.urandom(2000).hex().encode())[:-9], "ref.fa"),
    ],
    ids=["missing", "empty", "no FASTA", "no window", "a name twice", "truncated"],
)
def test_a_reference_that_cannot_be_used(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "ref.fa"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        check_source(config(reference=str(path)))
    assert message in str(caught.value)


def test_a_reference_that_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in {tmp_path: "is a directory", tmp_path / "pipe": "is a pipe"}.items():
        with pytest.raises(InputError, match=message):
            check_source(config(reference=str(path)))


def test_a_record_has_one_name_among_all_runs() -> None:
    read = rows_of(make_source(config()))[42]
    assert (read.source, read.read_index) == ("synthetic", 42), "with the run id, the record_id of the views"


def test_a_missing_extension_is_said_and_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension, "rust", Missing(ImportError("no file")))
    pairs = config(kind="pairs", path="p.tsv")
    for call in (lambda: make_source(config()), lambda: check_source(config()), lambda: check_source(pairs), generator_version):
        with pytest.raises(StartError, match=r"not built: run `make demo` or `pip install \.` \(no file\)"):
            call()


def test_a_model_that_the_generator_refuses_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"source\.mutation: .*read_length"):
        extension.packed_reads(1, "{}", 0, 1)


def test_batches_of_noisy_reads_fit_into_one_call() -> None:
    """50 reads, the default, stay below the limit of a call with every column filled."""
    noisy = MutationConfig(preset="human", variants_per_read=[0, 0, 0, 1]).model_dump(mode="json")
    block = make_source(config(mutation=noisy)).block(0)
    assert block is not None
    assert len(split(block)) <= 2
