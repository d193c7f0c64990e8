"""What every `Ledger` promises, asked of the fake and of the real one."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from helix_ray.errors import InvariantError, StartError
from helix_ray.records import (
    CallState,
    ControlEvent,
    ControlOutcome,
    Disposition,
    Read,
    ReadResult,
    RunStatus,
    ScoredVariant,
    Variant,
)
from helix_ray.storage.ledger import Agreement, Ledger
from support.ledger_values import RUN_ID, START, call, run_row

SNV = Variant(12, "A", "T", "SNV", "snv")


async def accuracy(ledger: Ledger) -> dict[str, tuple[int, int, int]]:
    """tp, fp and fn by type."""
    by_type = (await ledger.scores(RUN_ID)).model.by("type")
    return {kind: (counts.tp, counts.fp, counts.fn) for kind, counts in by_type.items()}


def result(index: int, **changes: object) -> ReadResult:
    read = Read(index, f"hx{index}", "chr1", 100, "+", "ACGT" * 30, "ACGA" * 30, None, (SNV,), True, {"gc": 0.5}, None, None)
    made = ReadResult(
        read,
        Disposition.STORED,
        [
            ScoredVariant("truth", *SNV[:5], None, None, "TP", None),
            ScoredVariant("call", 12, "A", "T", "SNV", None, 0.9, "ok", "TP", None),
        ],
        mutation_detected=True,
        raw_answer='{"id":"x","calls":[]}',
        model="m",
        call_id=str(uuid.UUID(int=index)),
        cost_usd=Decimal("0.000012345678"),
        latency_ms=100.0 + index,
        queue_ms=5.0,
        attempts=1,
        finished_at=START + timedelta(seconds=index),
    )
    read_changes = {key: changes.pop(key) for key in list(changes) if key in Read._fields and key != "disposition"}
    return replace(made, read=read._replace(**read_changes), **changes)  # type: ignore[arg-type]


async def test_a_batch_is_stored_once(ledger: Ledger) -> None:
    batch = [result(index) for index in (3, 4, 5, 9)]
    assert await ledger.write_batch(RUN_ID, batch, [call(1, [3, 4, 5, 9])]) == ([3, 4, 5, 9], [], [])
    again = await ledger.write_batch(RUN_ID, [*batch, result(10)], [call(1, [3, 4, 5, 9])])
    assert again == ([10], [3, 4, 5, 9], [])
    assert again.committed == [3, 4, 5, 9, 10]
    counts = await ledger.counts(RUN_ID)
    assert (counts.rows, counts.duplicates, counts.requests, counts.cost_usd) == (5, 0, 1, Decimal("0.001"))
    assert (counts.prompt_tokens, counts.cached_tokens, counts.completion_tokens) == (10, 2, 5)
    assert await accuracy(ledger) == {"SNV": (5, 0, 0)}


async def test_the_first_answer_wins(ledger: Ledger) -> None:
    await ledger.write_batch(RUN_ID, [result(1)], [])
    miss = result(1, variants=[ScoredVariant("truth", *SNV[:5], None, None, "FN", None)], mutation_detected=False)
    assert (await ledger.write_batch(RUN_ID, [miss], [])).suppressed == [1]
    assert await accuracy(ledger) == {"SNV": (1, 0, 0)}
    assert [row.mutation_detected for row in await ledger.recent_reads(RUN_ID, 5)] == [True]


async def test_the_first_of_a_batch_wins_too(ledger: Ledger) -> None:
    twice = [result(1), result(1, mutation_detected=False)]
    assert (await ledger.write_batch(RUN_ID, twice, [])).inserted == [1]
    assert [row.mutation_detected for row in await ledger.recent_reads(RUN_ID, 5)] == [True]


async def test_runs_are_listed_newest_first_and_found_by_name_or_the_beginning_of_their_id(ledger: Ledger) -> None:
    other = "7b1c0000-0000-4000-8000-000000000000"
    await ledger.start_run(run_row(other, name="other", started_at=START + timedelta(hours=1)))
    await ledger.write_batch(RUN_ID, [result(1), result(2)], [call(1, [1, 2])])
    newest, oldest = await ledger.runs()
    assert (newest.run_id, newest.name, newest.rows) == (other, "other", 0)
    assert (oldest.run_id, oldest.rows, oldest.cost_usd) == (RUN_ID, 2, Decimal("0.001"))
    assert [run.run_id for run in await ledger.runs("other")] == [other]
    assert [run.run_id for run in await ledger.runs("7B1C6")] == [RUN_ID]
    assert [run.run_id for run in await ledger.runs("7b1c")] == [other, RUN_ID]
    assert await ledger.runs("oth") == []


async def test_an_empty_batch_is_nothing(ledger: Ledger) -> None:
    assert await ledger.write_batch(RUN_ID, [], []) == ([], [], [])
    assert [*await ledger.done_ranges(RUN_ID)] == []


async def test_done_ranges_are_sorted_disjoint_and_half_open(ledger: Ledger) -> None:
    for indices in ((7, 8), (0, 1, 2), (3,), (12,)):
        await ledger.write_batch(RUN_ID, [result(index) for index in indices], [])
    assert [*await ledger.done_ranges(RUN_ID)] == [(0, 4), (7, 9), (12, 13)]
    await ledger.write_batch(RUN_ID, [result(index) for index in range(20, 9000, 2)], [])  # more gaps than a page of rows
    assert [*await ledger.done_ranges(RUN_ID)][3:] == [(index, index + 1) for index in range(20, 9000, 2)]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"seq": "AC\x00GT"}, "AC\\x00GT"),
        ({"read_id": "r\ud800"}, None),
        ({"raw_answer": "\udfff"}, None),
        ({"error": "x" * 4_000_001}, None),
        ({"reason": "a\x00b"}, None),
    ],
)
async def test_an_unstorable_read_becomes_a_dead_letter_and_its_neighbours_are_stored(
    ledger: Ledger, changes: dict[str, object], kept: str | None
) -> None:
    batch = [result(index, **(changes if index == 5 else {})) for index in range(8)]
    outcome = await ledger.write_batch(RUN_ID, batch, [call(1, list(range(8)))])
    assert sorted(outcome.inserted) == [0, 1, 2, 3, 4, 6, 7]
    assert [index for index, _ in outcome.poisoned] == [5]
    assert outcome.committed == list(range(8))
    counts = await ledger.counts(RUN_ID)
    assert counts.by_disposition == {"stored": 7, "dead_letter": 1}
    assert counts.cost_usd == Decimal("0.001")
    assert await accuracy(ledger) == {"SNV": (7, 0, 1)}, "its truth counts as missed"
    if kept is not None:
        assert next(row.seq for row in await ledger.recent_reads(RUN_ID, 9) if row.read_index == 5) == kept
    assert (await ledger.write_batch(RUN_ID, batch, [])).suppressed == list(range(8))


async def test_all_of_a_batch_may_be_unstorable(ledger: Ledger) -> None:
    outcome = await ledger.write_batch(RUN_ID, [result(index, seq="\x00") for index in range(5)], [])
    assert (outcome.inserted, [index for index, _ in outcome.poisoned]) == ([], [0, 1, 2, 3, 4])


async def test_texts_of_calls_are_escaped_and_their_cost_kept(ledger: Ledger) -> None:
    await ledger.write_batch(RUN_ID, [], [call(1, [], CallState.FAILED, error="\x00\ud800", status=500, latency_ms=float("nan"))])
    assert await ledger.spent_usd(RUN_ID) == Decimal("0.001")


async def test_a_call_moves_forward_only(ledger: Ledger) -> None:
    free = {"cost_usd": Decimal(0), "prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}
    await ledger.write_batch(RUN_ID, [], [call(1, [1], CallState.SENT, **free)])
    await ledger.write_batch(RUN_ID, [], [call(1, [1])])
    await ledger.write_batch(RUN_ID, [], [call(1, [1], CallState.POSSIBLY_BILLED, **free)])
    counts = await ledger.counts(RUN_ID)
    assert (counts.calls_by_state, counts.cost_usd, counts.prompt_tokens) == ({"answered": 1}, Decimal("0.001"), 10)


@pytest.mark.parametrize(
    ("state", "changes", "spent"),
    [
        (CallState.ANSWERED, {}, "0.001"),
        (CallState.FAILED, {"cost_usd": Decimal(0), "status": 500}, "0"),
        (CallState.POSSIBLY_BILLED, {"status": None}, "0.01"),
        (CallState.SENT, {"cost_usd": Decimal(0), "status": None}, "0.01"),
        (CallState.INTENDED, {"cost_usd": Decimal(0), "status": None}, "0.01"),
        (CallState.INTENDED, {"cost_usd": Decimal(0), "status": None, "finished_at": START}, "0"),
    ],
)
async def test_spent_is_the_most_that_can_have_been_billed(
    ledger: Ledger, state: CallState, changes: dict[str, object], spent: str
) -> None:
    await ledger.write_batch(RUN_ID, [], [call(1, [1], state, **changes)])
    assert await ledger.spent_usd(RUN_ID) == Decimal(spent)
    stored = await ledger.load_run(RUN_ID)
    assert stored is not None
    assert stored.cost_usd == Decimal(spent)


async def test_counts_by_state_of_calls_and_disposition_of_reads(ledger: Ledger) -> None:
    endings = [Disposition.UNPLACED, Disposition.FILTERED, Disposition.MALFORMED, Disposition.STORED]
    blank = {"contig": "", "ref_start": -1, "strand": "", "ref_seq": "", "truth": None, "variants": [], "latency_ms": None}
    batch = [result(index, disposition=ending, reason="why", **blank) for index, ending in enumerate(endings)]
    batch.append(result(4, disposition=Disposition.DEAD_LETTER, error_kind="refusal", error="no"))
    calls = [
        call(1, [0, 1]),
        call(2, [1, 2]),
        call(3, [2, 3], CallState.FAILED, status=429),
        call(4, [3], CallState.POSSIBLY_BILLED, status=None),
        call(5, [3], CallState.INTENDED, status=None),
    ]
    await ledger.write_batch(RUN_ID, batch, calls)
    counts = await ledger.counts(RUN_ID)
    assert counts.by_disposition == {"unplaced": 1, "filtered": 1, "malformed": 1, "stored": 1, "dead_letter": 1}
    assert (counts.requests, counts.http_429, counts.possibly_billed, counts.reads_repaid) == (4, 1, 1, 1)
    assert counts.calls_by_state == {"answered": 2, "failed": 1, "possibly_billed": 1, "intended": 1}
    assert counts.latency_ms == {"p50": None, "p95": None, "p99": None}


async def test_reads_that_are_not_analysed_are_counted_by_reason(ledger: Ledger) -> None:
    unplaced, filtered, malformed = Disposition.UNPLACED, Disposition.FILTERED, Disposition.MALFORMED
    endings = [(unplaced, "no_hit"), (unplaced, "too_short"), (unplaced, "no_hit"), (filtered, "iupac")]
    batch = [result(0), result(1, disposition=Disposition.DEAD_LETTER, error_kind="refusal", error="no")]
    for index, (ending, reason) in enumerate([*endings, *((malformed, f"line {line}: no") for line in (4, 8, 12))], 2):
        batch.append(replace(row := result(index, reason=reason), disposition=ending, read=row.read._replace(disposition=ending)))
    await ledger.write_batch(RUN_ID, batch, [])
    assert (await ledger.counts(RUN_ID)).left_out == {"malformed": 3, "no_hit": 2, "iupac": 1, "too_short": 1}


async def test_retries_failures_and_tiers_are_counted(ledger: Ledger) -> None:
    failed, unknown = CallState.FAILED, CallState.POSSIBLY_BILLED
    calls = [
        call(1, [1], failed, status=503, error_kind="http_503"),
        call(2, [1], failed, status=503, error_kind="http_503", retry=True),
        call(3, [1], unknown, status=None, error_kind="reset", retry=True),
        call(4, [1], failed, status=None, error_kind="connect", retry=True),  # it never left
        call(5, [1], unknown, status=None, error_kind="abandoned"),
        call(6, [1], failed, status=429, error_kind="rate_limited"),
        call(7, [1], retry=True),
    ]
    stored = [result(1, service_tier="flex"), result(2, service_tier="on_demand"), result(3, service_tier="on_demand"), result(4)]
    await ledger.write_batch(RUN_ID, stored, calls)
    counts = await ledger.counts(RUN_ID)
    assert (counts.requests, counts.resent) == (6, 3)
    assert counts.failures == {"overloaded": 2, "transport": 2}
    assert counts.reads_by_tier == {"on_demand": 2, "flex": 1}


async def test_latency_percentiles_interpolate(ledger: Ledger) -> None:
    await ledger.write_batch(RUN_ID, [result(index) for index in range(5)], [])
    latency = (await ledger.counts(RUN_ID)).latency_ms
    assert latency == {"p50": pytest.approx(102.0), "p95": pytest.approx(103.8), "p99": pytest.approx(103.96)}


async def test_accuracy_by_type(ledger: Ledger) -> None:
    variants = [
        ScoredVariant("truth", 5, "A", "AT", "INS", "ins", None, None, "FN", None),
        ScoredVariant("call", 7, "G", "C", "SNV", None, 0.5, "ok", "FP", None),
        ScoredVariant("call", 8, "?", "C", None, None, 0.5, "bad_base", "FP", "alleles are bases"),
        ScoredVariant("call", 7, "G", "C", "SNV", None, 0.5, "duplicate", None, None),
    ]
    await ledger.write_batch(RUN_ID, [result(0), result(1, variants=variants)], [])
    assert await accuracy(ledger) == {"INS": (0, 0, 1), "INVALID": (0, 1, 0), "SNV": (1, 1, 0)}


async def test_agreement_with_the_baseline_where_no_truth_is_known(ledger: Ledger) -> None:
    def both(called: list[int], based: list[int]) -> list[ScoredVariant]:
        return [
            *(ScoredVariant("call", pos, "A", "T", "SNV", None, None, "ok", None, None) for pos in called),
            *(ScoredVariant("baseline", pos, "A", "T", "SNV", None, None, "ok", None, None) for pos in based),
        ]

    batch = [
        result(0, truth=None, variants=both([1, 2], [2, 3])),
        result(1, truth=None, variants=both([4], [4])),
        result(2, truth=None, variants=[]),
        result(3, variants=both([9], [])),
    ]
    await ledger.write_batch(RUN_ID, batch, [])
    assert await ledger.agreement(RUN_ID) == Agreement(reads=3, reads_equal=2, both=2, only_call=1, only_baseline=1)


async def test_reads_with_truth_and_those_that_can_be_told_from_their_window(ledger: Ledger) -> None:
    batch = [result(0), result(1, identifiable=False), result(2, truth=None, variants=[]), result(3, truth=(), variants=[])]
    await ledger.write_batch(RUN_ID, batch, [])
    counts = await ledger.counts(RUN_ID)
    assert (counts.truth_reads, counts.identifiable_reads) == (3, 2)


async def test_reads_come_back_as_their_source_made_them(ledger: Ledger) -> None:
    full = Variant(30, "CA", "C", "DEL", "del", 1, "chr1:129:AA:A", None)
    error = Variant(50, "C", "T", "SNV", "snv", 1, "chr1:149:C:T", "ti")
    scored = [ScoredVariant("truth", *variant[:5], None, None, "FN", None) for variant in (SNV, full)]
    batch = [
        result(0, truth=(SNV, full), errors=(error,), checksum=2**64 - 1, variants=scored, qual="I" * 120),
        result(1, truth=(), errors=(), variants=[], strata={"gc": 0.25, "max_homopolymer": 4.0}, identifiable=None),
        result(2, truth=None, variants=[], source="fastq", strand="-", strata=None, checksum=0),
        result(5, disposition=Disposition.DEAD_LETTER, error_kind="refused", error="no", variants=scored[:1]),
    ]
    unplaced = result(9, contig="", ref_start=0, ref_seq="", truth=None, variants=[], identifiable=None, reason="no_hit", source="fasta")
    unplaced = replace(unplaced, disposition=Disposition.UNPLACED, read=unplaced.read._replace(disposition=Disposition.UNPLACED))
    batch.append(unplaced)
    await ledger.write_batch(RUN_ID, batch, [])
    made = [item.read for item in batch]
    assert await ledger.read_reads(RUN_ID, -1, 100) == made
    assert await ledger.read_reads(RUN_ID, -1, 2) == made[:2]
    assert await ledger.read_reads(RUN_ID, 1, 2) == made[2:4]
    assert await ledger.read_reads(RUN_ID, 9, 5) == []


async def test_a_read_that_is_not_what_its_source_made_comes_back_without_truth(ledger: Ledger) -> None:
    corrupted = result(1, disposition=Disposition.DEAD_LETTER, error_kind="corrupted", error="two checksums", errors=(SNV,))
    await ledger.write_batch(RUN_ID, [result(0, seq="\x00"), corrupted], [])
    reads = await ledger.read_reads(RUN_ID, -1, 5)
    assert [(read.disposition, read.truth, read.errors) for read in reads] == [(Disposition.DEAD_LETTER, None, None)] * 2
    assert "U+0000" in (reads[0].reason or "")
    assert reads[1].reason == "two checksums"


async def test_recent_reads_and_alerts_are_the_last_finished_first(ledger: Ledger) -> None:
    await ledger.write_batch(RUN_ID, [result(index, mutation_detected=index % 2 == 0) for index in range(6)], [])
    recent = await ledger.recent_reads(RUN_ID, 3)
    assert [row.read_index for row in recent] == [5, 4, 3]
    assert [row.read_index for row in await ledger.recent_alerts(RUN_ID, 10)] == [4, 2, 0]
    top = recent[0]
    assert (top.contig, top.ref_start, top.seq, top.ref_seq) == ("chr1", 100, "ACGA" * 30, result(5).read.ref_seq)
    assert [(it.side, it.pos, it.ref, it.alt, it.match) for it in top.variants] == [
        (it.side, it.pos, it.ref, it.alt, it.match) for side in ("truth", "call") for it in result(5).variants if it.side == side
    ]
    assert top.cost_usd == result(5).cost_usd
    assert (top.disposition, top.latency_ms, top.finished_at) == ("stored", 105.0, START + timedelta(seconds=5))
    assert (top.read_id, top.error_kind) == ("hx5", None)
    dead_letter = result(6, disposition=Disposition.DEAD_LETTER, error_kind="refusal", error="no", mutation_detected=None)
    await ledger.write_batch(RUN_ID, [dead_letter], [])
    assert (await ledger.recent_reads(RUN_ID, 1))[0].error_kind == "refusal"


async def test_a_read_without_a_contig_has_no_place(ledger: Ledger) -> None:
    unplaced = result(0, disposition=Disposition.UNPLACED, contig="", ref_start=0, ref_seq="", truth=None, variants=[])
    await ledger.write_batch(RUN_ID, [unplaced], [])
    [row] = await ledger.recent_reads(RUN_ID, 1)
    assert (row.contig, row.ref_start) == ("", None)


async def test_a_run_is_started_finished_and_resumed(ledger: Ledger) -> None:
    await ledger.start_run(run_row())
    await ledger.write_batch(RUN_ID, [result(0)], [call(1, [0])])
    await ledger.finish_run(RUN_ID, RunStatus.LIMITED, {"lost": 0})
    stored = await ledger.load_run(RUN_ID)
    assert stored is not None
    assert (stored.status, stored.totals, stored.rows, stored.cost_usd, stored.resumes) == ("limited", {"lost": 0}, 1, Decimal("0.001"), 0)
    assert (stored.config_json, stored.config, stored.versions, stored.seed) == (
        '{"run":{"seed":42}}',
        {"run": {"seed": 42}},
        {"generator": "1"},
        42,
    )
    assert (stored.started_at, stored.finished_at is not None) == (START, True)
    assert (stored.backend, stored.simulated, stored.earlier_configs) == ("emulator", True, ())
    await ledger.resume_run(RUN_ID, run_row())
    again = await ledger.load_run(RUN_ID)
    assert again is not None
    assert (again.status, again.finished_at, again.resumes) == (RunStatus.RUNNING, None, 1)
    assert again.earlier_configs == (), "nothing was changed"


async def test_a_resume_records_what_was_changed_and_keeps_what_was_said_before(ledger: Ledger) -> None:
    later = {"started_at": START + timedelta(days=1), "source_checksum": "5ec0"}
    await ledger.resume_run(RUN_ID, run_row(**later, name="again", config_json='{"b":1,  "a":2}', config_hash="beef", seed=43))
    await ledger.resume_run(RUN_ID, run_row(**later, config_json='{"b":1,  "a":2}', config_hash="beef", versions={"generator": "2"}))
    await ledger.resume_run(RUN_ID, run_row(**later, config_json='{"b":1,  "a":2}', config_hash="beef", versions={"generator": "2"}))
    stored = await ledger.load_run(RUN_ID)
    assert stored is not None
    assert (stored.config_json, stored.config_hash, stored.versions) == ('{"b":1,  "a":2}', "beef", {"generator": "2"})
    assert (stored.name, stored.seed, stored.resumes) == ("demo", 42, 3)
    assert (stored.started_at, stored.source_checksum) == (START, None)
    assert [(told["config"], told["config_hash"], told["versions"]) for told in stored.earlier_configs] == [
        ({"run": {"seed": 42}}, "c0ffee", {"generator": "1"}),
        ({"b": 1, "a": 2}, "beef", {"generator": "1"}),
    ]
    assert [datetime.fromisoformat(told["until"]) > START for told in stored.earlier_configs] == [True, True]


async def test_a_run_with_scripted_answers_stays_simulated(ledger: Ledger) -> None:
    await ledger.resume_run(RUN_ID, run_row(backend="groq", simulated=False))
    stored = await ledger.load_run(RUN_ID)
    assert stored is not None
    assert (stored.backend, stored.simulated) == ("groq", True)


async def test_the_claim_of_ones_own_run_is_in_nobodys_way(ledger: Ledger) -> None:
    await ledger.claim(RUN_ID)
    await ledger.claim(RUN_ID)
    await ledger.resume_run(RUN_ID, run_row())
    assert (await ledger.write_batch(RUN_ID, [result(0)], [])).inserted == [0]


async def test_runs_that_are_not_there(ledger: Ledger) -> None:
    unknown = str(uuid.UUID(int=99))
    assert await ledger.load_run(unknown) is None
    assert [*await ledger.done_ranges(unknown)] == []
    with pytest.raises(StartError, match="is not in this"):
        await ledger.resume_run(unknown, run_row())
    with pytest.raises(InvariantError, match="never started"):
        await ledger.write_batch(unknown, [result(0)], [])
    with pytest.raises(InvariantError, match="another configuration"):
        await ledger.start_run(run_row(config_hash="other"))


async def test_commands_are_recorded_once_and_marked(ledger: Ledger) -> None:
    event = ControlEvent("req-1", "rate", "cli:alice", START, "too fast", value_to="5")
    assert await ledger.record_control(RUN_ID, event)
    assert not await ledger.record_control(RUN_ID, event)
    await ledger.mark_control("req-1", ControlOutcome(accepted=True, message="done", value_from="9", acknowledged_at=START))
    await ledger.mark_control("req-1", ControlOutcome(acknowledged_at=START + timedelta(1), in_effect_at=START))
    await ledger.mark_control("req-2", ControlOutcome(accepted=False))
    [(stored, outcome)] = await ledger.controls(RUN_ID)
    assert stored == replace(event, value_from="9")
    assert outcome == ControlOutcome(True, "done", "9", "5", START, START)


async def test_closing_twice_is_safe(ledger: Ledger) -> None:
    await ledger.aclose()
    await ledger.aclose()
