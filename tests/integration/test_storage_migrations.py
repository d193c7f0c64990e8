"""A database of an earlier version keeps all it holds, and docs/output.md names everything in the schema."""

import re
import uuid
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from helix_ray.records import ApiCall, CallState, Disposition, Read, ReadResult, ScoredVariant, Variant
from helix_ray.scoring.tally import Counts
from helix_ray.storage import postgres
from helix_ray.storage.ledger import Agreement, RunRow
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.rows import utc_now
from helix_ray.storage.statements import migrations
from support.list_source import sample_read

SYNTHETIC, FILE = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
TABLES = ("runs", "reads", "variant_calls", "api_calls", "control_events")
AS_VERSION_1_WROTE = """
insert into helix.runs (run_id, name, config, config_hash, seed, backend, simulated, started_at, reads_stored) values
    ('{synthetic}', 'old', '{{"source":  {{"kind": "synthetic"}}}}', 'h', 1, 'emulator', true, now(), 2),
    ('{file}', 'old', '{{"source": {{"kind": "fastq"}}}}', 'h', 1, 'groq', false, now(), 1);
insert into helix.reads (run_id, read_index, disposition, read_id, contig, ref_start, strand, ref_seq, seq, truth_known, identifiable,
                         strata, error_kind, error, cost_share_usd, attempts, finished_at) values
    ('{synthetic}', 0, 'stored', 'hx0', 'hx0', 0, '+', 'ACGTACGT', 'ACTTACGT', true, true, '{{"gc": 0.5}}', null, null, 0.001, 1, now()),
    ('{synthetic}', 1, 'stored', 'hx1', 'hx1', 0, '+', 'ACGTACGT', 'ACGTACGT', true, true, null, null, null, 0.001, 1, now()),
    ('{synthetic}', 7, 'dead_letter', 'hx7', 'hx7', 0, '+', 'ACGTACGT', 'ACGTACGA', true, false, null, 'refused', 'no', 0, 1, now()),
    ('{file}', 1234567890123, 'stored', 'r', 'chr1', 9, '-', 'ACGT', 'ACGT', false, null, null, null, null, 0.001, 1, now());
insert into helix.variant_calls (run_id, read_index, side, ordinal, pos, ref, alt, type, event, match) values
    ('{synthetic}', 0, 'truth', 0, 3, 'G', 'T', 'SNV', 'snv', 'TP'),
    ('{synthetic}', 0, 'call', 0, 3, 'G', 'T', 'SNV', null, 'TP'),
    ('{synthetic}', 7, 'truth', 0, 8, 'T', 'A', 'SNV', 'snv', 'FN'),
    ('{file}', 1234567890123, 'baseline', 0, 2, 'C', 'A', 'SNV', null, null);
insert into helix.api_calls (call_id, run_id, kind, attempt, read_indices, state, model, cost_usd)
values ('{synthetic}', '{synthetic}', 'analysis', 1, '{{0}}', 'answered', 'm', 0.002);
insert into helix.control_events (request_id, run_id, action, actor, asked_at) values ('r', '{synthetic}', 'pause', 'me', now());
create view public.mine as select read_index, latency_ms from helix.analyses;
"""


@pytest.fixture
async def migrated(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, list[tuple[object, ...]]]]:
    """A database that version 1 filled, after its migration; and the rows of each table as they were."""
    ledger = PostgresLedger(empty_database_url)
    with monkeypatch.context() as earlier:
        earlier.setattr(postgres, "migrations", lambda: migrations()[:1])
        assert await ledger.migrate() == 1
    script = AS_VERSION_1_WROTE.format(synthetic=SYNTHETIC, file=FILE)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(script.encode())
        before = {
            table: connection.execute(f"select to_jsonb(t) from helix.{table} as t order by 1".encode()).fetchall() for table in TABLES
        }
    assert await ledger.migrate() == len(migrations()) > 1
    assert await ledger.migrate() == len(migrations())
    await ledger.aclose()
    return empty_database_url, before


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


async def test_every_row_is_there_as_it_was(migrated: tuple[str, dict[str, list[tuple[object, ...]]]]) -> None:
    url, before = migrated
    for table, rows in before.items():
        after = ask(url, f"select to_jsonb(t) from helix.{table} as t order by 1")
        assert len(after) == len(rows) > 0, table
        for (old,), (new,) in zip(rows, after, strict=True):
            assert isinstance(old, dict)
            assert isinstance(new, dict)
            assert old.items() <= new.items(), table
            assert {new[name] for name in new.keys() - old.keys()} <= {None, False}, "what was not known is not made up"
    assert ask(url, "select count(*) from public.mine") == [(3,)], "a view of the user's own stays"


async def test_old_rows_have_a_record_id_and_no_ceiling(migrated: tuple[str, dict[str, list[tuple[object, ...]]]]) -> None:
    url, _ = migrated
    assert ask(url, "select source, record_id from helix.analyses order by read_index") == [
        ("synthetic", f"{SYNTHETIC}/synthetic/000000000000"),
        ("synthetic", f"{SYNTHETIC}/synthetic/000000000001"),
        ("fastq", f"{FILE}/fastq/1234567890123"),
    ]
    assert ask(url, "select record_id, error from helix.dead_letters") == [(f"{SYNTHETIC}/synthetic/000000000007", "no")]
    ledger = PostgresLedger(url)
    scores = await ledger.scores(SYNTHETIC)
    assert scores.model.by("type") == {"SNV": Counts(tp=1, fn=1, fn_failed=1)}, "by match, and by how the read ended"
    assert (scores.model.by("subtype").keys(), scores.model.by("gc").keys()) == ({"unknown"}, {"unknown"})
    assert scores.ceiling.as_dict() == {}, "the aligner was not asked then"
    assert (scores.reads.reads, scores.reads.answered, scores.reads.truth_edits) == (3, 2, 0)
    assert await ledger.agreement(FILE) == Agreement(reads=1, reads_equal=0, both=0, only_call=0, only_baseline=1)
    counts = await ledger.counts(SYNTHETIC)
    assert (counts.rows, counts.truth_reads, counts.identifiable_reads, counts.cost_usd) == (3, 3, 2, Decimal("0.002"))
    reads = await ledger.read_reads(SYNTHETIC, -1, 10)
    assert [(read.read_index, read.source, read.errors, read.checksum) for read in reads] == [
        (index, "synthetic", None, None) for index in (0, 1, 7)
    ]
    assert reads[0].truth == (Variant(3, "G", "T", "SNV", "snv"),)
    assert (await ledger.read_reads(FILE, -1, 10))[0].source == "fastq"
    await ledger.aclose()


async def test_the_run_goes_on(migrated: tuple[str, dict[str, list[tuple[object, ...]]]]) -> None:
    url, _ = migrated
    error = Variant(5, "A", "G", "SNV", "snv", 1, "test:4:A:G", "ti")
    read: Read = sample_read(2)._replace(errors=(error,), checksum=2**64 - 1, truth=(error._replace(pos=9),))
    scored = [
        ScoredVariant("truth", 9, "A", "G", "SNV", "snv", None, None, "FN", None, "missed", None, "TP"),
        ScoredVariant("baseline", 9, "A", "G", "SNV", None, None, "ok", "TP", None, "allele"),
        ScoredVariant("baseline", 5, "A", "G", "SNV", None, None, "ok", "FP", None, "error"),
    ]
    ledger = PostgresLedger(url)
    await ledger.resume_run(SYNTHETIC, RunRow(SYNTHETIC, "new", "{}", "h2", 1, {}, None, utc_now(), "emulator", True))
    call = ApiCall(str(uuid.UUID(int=5)), "analysis", 1, [2], CallState.ANSWERED, 200, "m")
    assert (await ledger.write_batch(SYNTHETIC, [ReadResult(read, Disposition.STORED, scored)], [call])).inserted == [2]
    assert (await ledger.scores(SYNTHETIC)).ceiling.by("type") == {"SNV": Counts(tp=1, fp=1, fp_error=1)}
    assert (await ledger.read_reads(SYNTHETIC, 1, 1)) == [read]
    await ledger.aclose()
    assert ask(url, "select checksum, baseline_calls, errors_known from helix.reads where read_index = 2") == [(2**64 - 1, 2, True)]
    query = "select pos, event, length, spdi, titv, match from helix.variant_calls where side = 'error'"
    assert ask(url, query) == [(5, "snv", 1, "test:4:A:G", "ti", None)]


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("match", "'FP'", "error_has_no_match"),
        ("alt", "'?'", "truth_is_a_variant"),
        ("side", "'other'", "variant_calls_side_check"),
        ("titv", "'x'", "variant_calls_titv_check"),
        ("length", "0", "variant_calls_length_check"),
        ("detail", "'x'", "variant_calls_detail_check"),
        ("off_by", "6", "variant_calls_off_by_check"),
        ("baseline", "'FN'", "baseline_is_of_truths"),
    ],
)
async def test_the_new_constraints_hold(
    migrated: tuple[str, dict[str, list[tuple[object, ...]]]], column: str, value: str, constraint: str
) -> None:
    url, _ = migrated
    row = {"side": "'error'", "pos": "1", "ref": "'A'", "alt": "'T'", "type": "'SNV'", column: value}
    columns, values = ", ".join(row), ", ".join(row.values())
    query = f"insert into helix.variant_calls (run_id, read_index, ordinal, {columns}) values ('{SYNTHETIC}', 0, 0, {values})"
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        connection.execute(query.encode())


AS_VERSION_2_WROTE = """
insert into helix.runs (run_id, name, config, config_hash, seed, backend, simulated, started_at)
values ('{run}', 'old', '{{"source": {{"kind": "synthetic"}}}}', 'h', 1, 'emulator', true, now());
insert into helix.reads (run_id, read_index, disposition, read_id, ref_seq, seq, truth_known, strata, error_kind, finished_at,
                         baseline_calls)
values ('{run}', 0, 'stored', 'hx0', 'ACGTACGT', 'ACTTACGA', true, '{{"gc": 0.5, "n_truth": 2}}', null, now(), 2),
       ('{run}', 1, 'dead_letter', 'hx1', 'ACGTACGT', 'ACTTACGT', true, '{{"n_truth": 1}}', 'unstorable', now(), null);
insert into helix.variant_calls (run_id, read_index, side, ordinal, pos, ref, alt, type, outcome, match, reason) values
    ('{run}', 0, 'truth', 0, 3, 'G', 'T', 'SNV', null, 'FN', null), ('{run}', 0, 'truth', 1, 5, 'A', 'C', 'SNV', null, 'TP', null),
    ('{run}', 0, 'call', 0, 5, 'A', 'C', 'SNV', 'ok', 'TP', null),
    ('{run}', 0, 'call', 1, 8, 'T', 'A', 'SNV', 'ok', 'FP', 'sequencing error'),
    ('{run}', 0, 'call', 2, 8, '?', 'A', null, 'bad_base', 'FP', 'alleles are bases'),
    ('{run}', 0, 'baseline', 0, 3, 'G', 'T', 'SNV', 'ok', 'TP', null),
    ('{run}', 0, 'baseline', 1, 8, 'T', 'A', 'SNV', 'ok', 'FP', 'sequencing error'),
    ('{run}', 1, 'truth', 0, 3, 'G', 'T', 'SNV', null, 'FN', null);
"""


async def test_a_run_of_version_2_keeps_its_scores_and_its_ceiling(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = PostgresLedger(empty_database_url)
    with monkeypatch.context() as earlier:
        earlier.setattr(postgres, "migrations", lambda: migrations()[:2])
        await ledger.migrate()
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(AS_VERSION_2_WROTE.format(run=SYNTHETIC).encode())
    await ledger.migrate()
    scores, results = await ledger.scores(SYNTHETIC), await ledger.read_results(SYNTHETIC, -1, 10)
    await ledger.aclose()
    assert scores.model.by("type") == {
        "INVALID": Counts(fp=1, fp_invalid=1),
        "SNV": Counts(tp=1, fn=2, fn_failed=1, fp=1, fp_error=1),
    }
    assert scores.ceiling.by("type") == {"SNV": Counts(tp=1, fn=1, fp=1, fp_error=1)}
    assert scores.model.by("n_truth").keys() == {"1", "2"}
    assert [(result.outcome, result.leniency, result.repairs, result.exact, result.capped) for result in results] == [
        (None, (), 0, None, False)
    ] * 2
    tally = "type, tp, fp, fn, query_tp, fp_error, round(precision::numeric, 3), round(recall::numeric, 3), round(f1::numeric, 3)"
    for view, row in (("accuracy", (1, 1, 2, 1, 1, 0.5, 0.333, 0.4)), ("ceiling", (1, 1, 1, 1, 1, 0.5, 0.5, 0.5))):
        (found,) = ask(empty_database_url, f"select {tally} from helix.{view}_by_type where type = 'SNV'")
        assert [float(str(value)) for value in found[1:]] == list(row)


DOCUMENT = Path(__file__).parents[2] / "docs" / "output.md"


def words() -> set[str]:
    """Of the document's code: between backticks, and in blocks."""
    blocks = DOCUMENT.read_text().split("```")
    spans = [*blocks[1::2], *(span for prose in blocks[::2] for span in re.findall(r"`([^`]+)`", prose))]
    return {word for span in spans for word in re.findall(r"[A-Za-z_0-9]+", span)}


def test_every_table_and_column_is_described(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'helix' order by 1, 2"
        ).fetchall()
    assert rows
    known = words()
    assert [row for row in rows if not {row[0], row[1]} <= known] == []


def test_every_value_of_a_closed_set_is_described(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        checks = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where contype = 'c' and connamespace = 'helix'::regnamespace"
        ).fetchall()
    values = {value for (text,) in checks for value in re.findall(r"'(\w+)'::text", text)}
    assert {"stored", "possibly_billed", "overlap", "FN"} <= values
    assert values - words() == set()
