"""JSONL, Parquet and the table of variants: nothing is lost, and nothing of it is run by a spreadsheet."""

import csv
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helix_ray.cli.export import fill_from
from helix_ray.config.loading import parse_config
from helix_ray.errors import InputError
from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.results.export import Export, Format, Origin
from helix_ray.results.export import parquet as parquet_tables
from helix_ray.results.export.records import SIMULATED, cell
from helix_ray.storage.ledger import RunRow
from support.exported_results import ORIGIN, SYNTHETIC, exported, from_jsonl, from_parquet
from support.memory_ledger import MemoryLedger
from support.scored_results import scored_results

RESULTS = scored_results(240)
BIG = replace(
    RESULTS[0],
    read=RESULTS[0].read._replace(checksum=2**64 - 1, read_id='=1+1\n"\u2028\x1bé'),
    cost_usd=Decimal("123456.000000000001"),
    raw_answer='{"a":"\\u0000\\ud83d\\ude00 😀"}',
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("records")
    exported(made, RESULTS, Format.JSONL, Format.PARQUET, Format.CSV)
    return made


def test_json_lines_are_read_back_as_the_results_that_they_were(folder: Path, tmp_path: Path) -> None:
    assert from_jsonl(folder) == RESULTS
    exported(tmp_path, [replace(BIG, cost_usd=Decimal("0.000012345678"))], Format.JSONL)
    assert from_jsonl(tmp_path) == [replace(BIG, cost_usd=Decimal("0.000012345678"))]
    line = (tmp_path / "reads.jsonl").read_bytes()
    assert (line.count(b"\n"), line.endswith(b"}\n"), line.isascii()) == (1, True, True)


def test_parquet_is_read_back_as_the_results_that_they_were(folder: Path, tmp_path: Path) -> None:
    assert from_parquet(folder) == RESULTS
    exported(tmp_path, [BIG], Format.PARQUET)
    assert from_parquet(tmp_path) == [BIG]


def test_columns_are_typed_and_pandas_reads_them(folder: Path) -> None:
    schema = pq.read_schema(folder / "reads.parquet")
    assert (schema.field("checksum").type, schema.field("cost_usd").type) == (pa.uint64(), pa.decimal128(18, 12))
    assert schema.field("finished_at").type == pa.timestamp("us", tz="UTC")
    frame = pd.read_parquet(folder / "variant_calls.parquet")
    rows = [(result, row) for result in RESULTS for row in result.variants]
    assert list(frame.side) == [row.side for _, row in rows]
    assert list(frame.read_index) == [result.read.read_index for result, _ in rows]
    assert frame.groupby("match").size().to_dict() == pd.Series([row.match for _, row in rows]).value_counts().to_dict()
    reads = pd.read_json(folder / "reads.jsonl", lines=True)
    assert list(reads.read_id) == [result.read.read_id for result in RESULTS]


def test_large_runs_are_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_tables, "GROUP_ROWS", 100)
    exported(tmp_path, RESULTS, Format.PARQUET)
    file = pq.ParquetFile(tmp_path / "reads.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [100, 100, 40]
    assert from_parquet(tmp_path) == RESULTS


def test_a_run_without_variants_or_answers_has_its_columns(tmp_path: Path) -> None:
    bare = ReadResult(
        RESULTS[0].read._replace(truth=(), strata=None, errors=None), RESULTS[0].disposition, finished_at=RESULTS[0].finished_at
    )
    exported(tmp_path, [bare], Format.PARQUET, Format.JSONL, Format.CSV)
    assert from_parquet(tmp_path) == from_jsonl(tmp_path) == [bare]
    assert pq.read_table(tmp_path / "variant_calls.parquet").schema.names == list(parquet_tables.VARIANT_CALLS.names)
    assert len((tmp_path / "variant_calls.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+A", "'+A"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\\x09=1"),
        ("\r=1", "'\\x0d=1"),
        ("a\nb\x00\x9b\u2028", "a\\x0ab\\x00\\x9b\\u2028"),
        ("ACGT", "ACGT"),
        ("", ""),
        (-3, -3),
        (-0.5, -0.5),
        (Decimal("-1.5"), Decimal("-1.5")),
        (None, ""),
        (True, "true"),
    ],
)
def test_a_cell_is_never_a_formula(value: object, shown: object) -> None:
    assert cell(value) == shown


def test_the_table_of_variants_shows_what_models_write_and_runs_none_of_it(tmp_path: Path) -> None:
    evil = ScoredVariant("call", -4, "=cmd|'/C calc'!A0", "+\x07", None, None, 0.5, "bad_base", "FP", "@x\r\n", "near", -2)
    exported(tmp_path, [replace(BIG, variants=[evil])], Format.CSV)
    with (tmp_path / "variant_calls.csv").open(newline="") as table:
        (row,) = csv.DictReader(table)
    assert (row["read_id"], row["ref"], row["alt"], row["reason"]) == (
        "'=1+1\\x0a\"\\u2028\\x1bé",
        "'=cmd|'/C calc'!A0",
        "'+\\x07",
        "'@x\\x0d\\x0a",
    )
    assert (row["Simulated"], row["pos"], row["off_by"], row["confidence"], row["type"]) == ("true", "-4", "-2", "0.5", "")
    frame = pd.read_csv(tmp_path / "variant_calls.csv")
    assert (frame.off_by[0], frame.confidence[0], bool(frame.Simulated[0])) == (-2, 0.5, True)


@pytest.mark.parametrize("simulated", [True, False])
def test_every_file_says_whether_its_answers_are_scripted(simulated: bool, tmp_path: Path) -> None:
    manifest = exported(tmp_path, RESULTS[:20], origin=replace(ORIGIN, simulated=simulated))
    assert manifest["simulated"] is simulated
    for name in ("reads.jsonl", "calls_invalid.jsonl"):
        lines = (tmp_path / name).read_text().splitlines()
        assert lines
        assert {json.loads(line)["simulated"] for line in lines} == {simulated}
    for name in ("summary.csv", "extended.csv", "variant_calls.csv"):
        assert set(pd.read_csv(tmp_path / name).Simulated) == {simulated}
    for name in ("reads.parquet", "variant_calls.parquet"):
        table = pq.read_table(tmp_path / name)
        assert set(table["simulated"].to_pylist()) == {simulated}
        assert table.schema.metadata[b"simulated"] == (b"true" if simulated else b"false")
        assert table.schema.metadata.get(b"note") == (SIMULATED.encode() if simulated else None)


async def test_results_are_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_ray.cli.export.PAGE", 50)
    ledger, run_id = MemoryLedger(), "run-1"
    first = RESULTS[0].finished_at
    assert first is not None
    await ledger.start_run(RunRow(run_id, "n", "{}", "h", 1, {}, None, first, "emulator", True))
    await ledger.write_batch(run_id, RESULTS, [])
    pages: list[int] = []
    for formats in ((Format.JSONL, Format.FASTQ), (Format.FASTQ,)):
        folder = tmp_path / str(len(formats))
        folder.mkdir()
        with Export(folder, formats, ORIGIN) as target:
            await fill_from(ledger, run_id, target, pages.append)
            target.finish()
    assert pages == 2 * [50, 50, 50, 50, 40]
    assert from_jsonl(tmp_path / "2") == RESULTS
    assert (tmp_path / "2" / "reads.fastq.gz").read_bytes() == (tmp_path / "1" / "reads.fastq.gz").read_bytes()


def test_results_are_only_to_be_had_of_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--format jsonl: only a run has results \(--run\); these can be had: truth-vcf, fastq"):
        Export(tmp_path, [Format.JSONL], Origin(SYNTHETIC, "2"))
    real = parse_config({"source": {"kind": "fastq", "path": "x.fq", "count": None, "reference": "x.fa"}}, "test")
    assert Format.fitting(real, of_run=True) == ["fastq", "reference", "calls-vcf", "jsonl", "parquet"]
    with pytest.raises(InputError, match=r"--format csv: the true variants of reads from a file are not known; .* calls-vcf"):
        Export(tmp_path, [Format.CSV], Origin(real, "2", "run-1"))
