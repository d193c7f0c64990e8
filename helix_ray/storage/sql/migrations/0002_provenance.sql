-- Where a read came from, what its sequencing got wrong, whether it arrived as it was made, and the baseline beside every answer.
-- Every new column is NULL or constant in the rows that are there, and new constraints are NOT VALID: those rows satisfy them by
-- the old ones, and looking at millions of them again would hold up the start of a run.

alter table helix.reads
    add column source         text,
    add column errors_known   boolean not null default false,
    add column checksum       numeric(20, 0),  -- bigint ends at 2^63 - 1
    add column baseline_calls integer,
    add constraint reads_source_check check (source in ('synthetic', 'fasta', 'fastq', 'pairs')) not valid,
    add constraint reads_checksum_check check (checksum between 0 and 18446744073709551615) not valid,
    add constraint reads_baseline_calls_check check (baseline_calls >= 0) not valid;

alter table helix.variant_calls
    add column length integer,
    add column spdi   text,
    add column titv   text,
    drop constraint variant_calls_side_check,
    drop constraint truth_is_a_variant,
    add constraint variant_calls_side_check check (side in ('truth', 'call', 'baseline', 'error')) not valid,
    add constraint variant_calls_length_check check (length >= 1) not valid,
    add constraint variant_calls_titv_check check (titv in ('ti', 'tv')) not valid,
    add constraint truth_is_a_variant check (
        side not in ('truth', 'error') or (pos >= 1 and ref ~ '^[ACGTN]+$' and alt ~ '^[ACGTN]+$' and type is not null)
    ) not valid,
    add constraint error_has_no_match check (side <> 'error' or match is null) not valid;

-- Replaced, not dropped, so that rights on a view and views built on it stay: new columns come last.
-- A row from before this migration has the source that its run's configuration names; source.* never changes within a run.
create or replace view helix.analyses as
select read.run_id, run.backend, run.simulated, read.read_index, read.read_id, read.contig, read.ref_start, read.strand,
       read.ref_seq, read.seq, read.qual, read.truth_known, read.identifiable, read.strata,
       read.mutation_detected, read.raw_answer, read.model, read.prompt, read.prompt_hash, read.schema_hash,
       read.system_fingerprint, read.service_tier, read.call_id, read.cost_share_usd, read.latency_ms, read.queue_ms,
       read.attempts, read.finished_at,
       origin.source,
       read.run_id || '/' || origin.source || '/' || lpad(read.read_index::text, greatest(12, length(read.read_index::text)), '0')
           as record_id,
       read.errors_known, read.checksum, read.baseline_calls
from helix.reads as read join helix.runs as run using (run_id)
cross join lateral (select coalesce(read.source, run.config #>> '{source,kind}') as source) as origin
where read.disposition = 'stored';

create or replace view helix.dead_letters as
select read.run_id, run.backend, run.simulated, read.read_index, read.read_id, read.error_kind, read.error, read.attempts,
       read.raw_answer, read.model, read.call_id, read.contig, read.ref_start, read.strand, read.ref_seq, read.seq, read.qual,
       read.truth_known, read.finished_at,
       origin.source,
       read.run_id || '/' || origin.source || '/' || lpad(read.read_index::text, greatest(12, length(read.read_index::text)), '0')
           as record_id,
       read.errors_known, read.checksum, read.baseline_calls
from helix.reads as read join helix.runs as run using (run_id)
cross join lateral (select coalesce(read.source, run.config #>> '{source,kind}') as source) as origin
where read.disposition = 'dead_letter';

-- What the aligner finds of the same truth: the most that any model can be expected to reach. Of reads with truth for which it
-- was asked; a truth that none of its calls equals is missed.
create view helix.ceiling_by_type as
select scored.run_id, run.backend, run.simulated, scored.type, scored.tp, scored.fp, scored.truths - scored.tp as fn,
       scored.tp::double precision / nullif(scored.tp + scored.fp, 0) as precision,
       scored.tp::double precision / nullif(scored.truths, 0) as recall,
       2.0::double precision * scored.tp / nullif(scored.truths + scored.tp + scored.fp, 0) as f1
from (
    select variant.run_id,
           variant.type,
           count(*) filter (where variant.side = 'baseline' and variant.match = 'TP') as tp,
           count(*) filter (where variant.side = 'baseline' and variant.match = 'FP') as fp,
           count(*) filter (where variant.side = 'truth') as truths
    from helix.variant_calls as variant join helix.reads as read using (run_id, read_index)
    where variant.side in ('truth', 'baseline') and read.truth_known and read.baseline_calls is not null
    group by variant.run_id, variant.type
) as scored join helix.runs as run using (run_id)
where scored.truths + scored.fp > 0;

create or replace view helix.run_summary as
select run.run_id, run.name, run.backend, run.simulated, run.status, run.started_at, run.finished_at, run.resumes,
       rows.rows, rows.reads_stored, rows.dead_letters, rows.reads_unplaced, rows.reads_filtered, rows.reads_malformed,
       rows.reads_mutated,
       calls.requests, calls.http_429, calls.possibly_billed,
       calls.prompt_tokens, calls.cached_tokens, calls.completion_tokens, calls.cost_usd,
       calls.cost_usd * 1000 / nullif(rows.reads_stored, 0) as cost_per_1000_reads,
       rows.truth_reads, rows.identifiable_reads
from helix.runs as run
cross join lateral (
    select count(*) as rows,
           count(*) filter (where disposition = 'stored') as reads_stored,
           count(*) filter (where disposition = 'dead_letter') as dead_letters,
           count(*) filter (where disposition = 'unplaced') as reads_unplaced,
           count(*) filter (where disposition = 'filtered') as reads_filtered,
           count(*) filter (where disposition = 'malformed') as reads_malformed,
           count(*) filter (where mutation_detected) as reads_mutated,
           count(*) filter (where truth_known) as truth_reads,
           count(*) filter (where truth_known and identifiable) as identifiable_reads
    from helix.reads where reads.run_id = run.run_id
) as rows
cross join lateral (
    select count(*) filter (where state <> 'intended') as requests,
           count(*) filter (where api_calls.status = 429) as http_429,
           count(*) filter (where state = 'possibly_billed') as possibly_billed,
           coalesce(sum(prompt_tokens), 0) as prompt_tokens,
           coalesce(sum(cached_tokens), 0) as cached_tokens,
           coalesce(sum(completion_tokens), 0) as completion_tokens,
           coalesce(sum(cost_usd), 0) as cost_usd
    from helix.api_calls where api_calls.run_id = run.run_id
) as calls;
