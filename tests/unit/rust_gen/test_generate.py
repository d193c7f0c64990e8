"""The generator and the normal forms as Python sees them."""

import json
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

from helix_ray import _rust_gen

PRESETS = Path(__file__).parents[3] / "rust_gen" / "tests" / "presets"
BENCH, WGSIM, HUMAN = ((PRESETS / f"{name}.json").read_text() for name in ("bench", "wgsim", "human"))


def changed(preset: str, **keys: Any) -> str:
    return json.dumps(json.loads((PRESETS / f"{preset}.json").read_text()) | keys)


def golden(seed: int, config: str) -> int:
    """FNV-1a over the CRC-32 of the first thousand records, each written as rust_gen/tests/golden.rs writes it."""
    value = 0xCBF29CE484222325
    for row in zip(*_rust_gen.generate(seed, config, 0, 1000), strict=True):
        value = (value ^ zlib.crc32(" ".join(map(field, row)).encode())) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def field(value: Any) -> str:
    if isinstance(value, list):
        return ",".join("{}:{}>{}:{}:{}:{}:{}:".format(*row) + (row[7] or "-") for row in value)
    return "-" if value is None else str(int(value) if isinstance(value, bool) else value)


def test_the_first_thousand_records_are_frozen() -> None:
    """A new hash needs a new GENERATOR_VERSION: stored runs could not be resumed with other reads."""
    assert _rust_gen.GENERATOR_VERSION == 2
    assert golden(42, BENCH) == 0x9FB153DC1AE56CFA
    assert golden(42, WGSIM) == 0x270285D21CD69A73
    assert golden(42, HUMAN) == 0xAE4FBB74ABFCC0F1
    assert golden(2**63 - 1, changed("human", n_rate=0.01, mutation_rate=0.05)) == 0x622E2C1940926BD8


def test_columns_have_the_length_that_was_asked_for() -> None:
    assert [len(column) for column in _rust_gen.generate(1, BENCH, 10, 7)] == [7] * 14
    assert [len(column) for column in _rust_gen.generate(1, BENCH, 10, 0)] == [0] * 14


def test_a_record_does_not_depend_on_its_batch() -> None:
    whole = _rust_gen.generate(9, HUMAN, 0, 40)
    parts = [_rust_gen.generate(9, HUMAN, start, 8) for start in range(0, 40, 8)]
    assert list(whole) == [[value for part in parts for value in part[column]] for column in range(14)]
    last = _rust_gen.generate(9, HUMAN, 2**64 - 2, 1)
    assert len(last[3][0]) == 150


def applied(window: str, variants: list[tuple[Any, ...]]) -> str:
    rebuilt, done = "", 0
    for pos, ref, alt, *_ in sorted(variants):
        assert window[pos - 1 : pos - 1 + len(ref)] == ref
        rebuilt += window[done : pos - 1] + alt
        done = pos - 1 + len(ref)
    return rebuilt + window[done:]


@pytest.mark.parametrize("config", [BENCH, WGSIM, HUMAN], ids=["bench", "wgsim", "human"])
def test_truth_and_errors_describe_the_difference(config: str) -> None:
    keys = json.loads(config)
    for row in zip(*_rust_gen.generate(3, config, 0, 300), strict=True):
        contig, ref_start, strand, window, seq, qual, truth, errors, _, checksum, gc, run, _, _ = row
        assert ref_start == 0
        assert strand in "+-"
        assert applied(window, truth + errors) == seq
        assert (qual is None) == (keys["quality_model"] == "none")
        assert qual is None or len(qual) == len(seq)
        assert checksum == _rust_gen.checksum(window, seq, [variant[:3] for variant in truth])
        assert checksum != _rust_gen.checksum(window, seq, None)
        for pos, ref, alt, kind, event, length, spdi, titv in truth + errors:
            assert _rust_gen.describe(window, pos, ref, alt, contig, 0) == (pos, ref, alt, kind, length, spdi, titv)
            assert event in {"snv", "ins", "del", "mnv", "dup", "inv"}
        assert gc == sum(base in "GC" for base in window) / len(window)
        assert any(base * run in window for base in "ACGT")
        assert not any(base * (run + 1) in window for base in "ACGT")


def test_settings_of_the_reading_leave_the_truth() -> None:
    noisy = changed("bench", base_error_rate=0.05, quality_model="fixed:13", n_rate=0.02, strand_flip_prob=0.5)
    one, two = _rust_gen.generate(5, BENCH, 0, 200), _rust_gen.generate(5, noisy, 0, 200)
    assert one[3] == two[3]
    assert one[6] == two[6]
    assert one[4] != two[4]
    assert any("N" in seq for seq in two[4])


def test_most_records_of_the_bench_are_identifiable() -> None:
    identifiable = _rust_gen.generate(42, BENCH, 0, 5000)[8]
    print(f"{sum(identifiable) / 50:.2f} % of the bench records are identifiable")
    assert sum(identifiable) >= 4750


def test_windows_come_from_a_genome(tmp_path: Path) -> None:
    bases = "".join(_rust_gen.generate(1, BENCH, 0, 8)[3])
    reference = tmp_path / "ref.fa"
    reference.write_text(f">c1\n{bases[:600]}N{bases[600:]}\n>c2\n{bases[:100]}\n")
    genome = _rust_gen.Genome(reference)
    contigs, starts, _, windows, *_, truth, _, _, _, _, _, _, _ = _rust_gen.generate(1, HUMAN, 0, 50, genome)
    assert set(contigs) == {"c1"}
    whole = bases[:600] + "N" + bases[600:]
    assert all(whole[start : start + 150] == window for start, window in zip(starts, windows, strict=True))
    spdis = [(start, variant[6]) for start, variants in zip(starts, truth, strict=True) for variant in variants]
    assert spdis
    assert all(spdi.startswith("c1:") and int(spdi.split(":")[1]) >= start for start, spdi in spdis)
    with pytest.raises(ValueError, match="read_length"):
        _rust_gen.generate(1, changed("human", read_length=1000), 0, 1, genome)
    with pytest.raises(_rust_gen.InputFileError):
        _rust_gen.Genome(tmp_path / "missing.fa")


def test_fastq_is_the_reads_as_sequenced() -> None:
    text = _rust_gen.generate_fastq(7, HUMAN, 3, 40).decode().splitlines()
    columns = _rust_gen.generate(7, HUMAN, 3, 40)
    for i, (strand, seq, qual) in enumerate(zip(columns[2], columns[4], columns[5], strict=True)):
        assert qual is not None
        bases = seq[::-1].translate(str.maketrans("ACGT", "TGCA")) if strand == "-" else seq
        assert text[4 * i : 4 * i + 4] == [f"@hx{i + 3}", bases, "+", qual[::-1] if strand == "-" else qual]
    assert _rust_gen.generate_fastq(7, BENCH, 0, 1).endswith(b"\n+\n" + b"I" * len(_rust_gen.generate(7, BENCH, 0, 1)[4][0]) + b"\n")


def test_normal_forms() -> None:
    assert _rust_gen.normalize("GAAAT", 4, "AT", "T") == (1, "GA", "G", "DEL")
    assert _rust_gen.normalize("GAAAT", 2, "AA", "AA") == (2, "AA", "AA", None)
    assert _rust_gen.normalize("AAAT", 2, "A", "") == (1, "AA", "A", "DEL")
    assert _rust_gen.describe("GAAAT", 4, "AT", "T", "chr1", 1000) == (1, "GA", "G", "DEL", 1, "chr1:1001:AAA:AA", None)
    assert _rust_gen.describe("GAAAT", 2, "A", "G", "chr1", 0) == (2, "A", "G", "SNV", 1, "chr1:1:A:G", "ti")
    assert _rust_gen.justify("GCACACAT", 3, "A", "ACA") == (1, "CACACA", "CACACACA")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("GAAAT", 2, "C", "A"), "holds 'A'"),
        (("GAAAT", 5, "TT", "T"), "within the window"),
        (("GAAAT", 0, "G", "T"), "within the window"),
        (("GA", 1, "GA", ""), "anchor"),
        (("GAAAT", 2, "A", "Ä"), "not bases"),
    ],
)
def test_what_has_no_normal_form(arguments: tuple[str, int, str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _rust_gen.normalize(*arguments)


def test_equal_alleles_describe_nothing() -> None:
    with pytest.raises(ValueError, match="equal"):
        _rust_gen.justify("GAAAT", 2, "A", "A")
    with pytest.raises(ValueError, match="equal"):
        _rust_gen.describe("GAAAT", 2, "A", "A", "c", 0)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((1, "{}", 0, 1), ValueError, "read_length"),
        ((1, "no json", 0, 1), ValueError, "mutation"),
        ((1, changed("bench", gc_content=41), 0, 1), ValueError, "gc_content"),
        ((1, changed("bench", base_error_rate="from_quality"), 0, 1), ValueError, "quality_model"),
        ((1, BENCH, 0, 1_000_001), ValueError, "count"),
        ((1, BENCH, 2**64 - 1, 2), ValueError, "start"),
        ((-1, BENCH, 0, 1), OverflowError, "negative"),
    ],
)
def test_what_cannot_be_generated(arguments: tuple[int, str, int, int], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        _rust_gen.generate(*arguments)


def test_other_threads_run_meanwhile() -> None:
    """With the interpreter's own switching off, this thread gets the GIL only where the extension lets go of it.

    Several tries, since on a busy machine this thread may wake too late.
    """
    config = changed("human", read_length=2000)

    def ran_meanwhile() -> bool:
        begun, ended = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            _rust_gen.generate(1, config, 0, 4000)
            ended.set()

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        meanwhile = not ended.is_set()
        thread.join()
        return meanwhile

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        assert any(ran_meanwhile() for _ in range(10))
    finally:
        sys.setswitchinterval(interval)
