-- name: runs
select run_id::text as run_id, name, backend, simulated, status,
       reads_stored + dead_letters + reads_unplaced + reads_filtered + reads_malformed as rows, cost_usd, started_at
from helix.runs
where %(named)s::text is null or name = %(named)s or starts_with(run_id::text, lower(%(named)s))
order by started_at desc, run_id

-- name: load_run
select run.run_id::text as run_id, run.name, run.config::text as config_json, run.config_hash, run.seed, run.versions,
       run.backend, run.simulated, run.earlier_configs, run.source_checksum, run.started_at, run.finished_at, run.status,
       run.resumes, run.totals,
       (select count(*) from helix.reads where reads.run_id = run.run_id) as rows
from helix.runs as run
where run.run_id = %(run_id)s

-- name: done_ranges
-- A range begins behind every gap, and ends where the row before the next gap is. In the order of the key, so nothing is sorted.
select read_index as first, 1 + lead(before, 1, newest) over (order by read_index) as past
from (
    select read_index, lag(read_index) over (order by read_index) as before,
           (select max(read_index) from helix.reads where run_id = %(run_id)s) as newest
    from helix.reads where run_id = %(run_id)s
) as row
where before is null or read_index > before + 1
order by first

-- name: rows_by_disposition
select disposition, case when disposition in ('unplaced', 'filtered') then reason end as reason, count(*) as rows,
       count(*) filter (where truth_known) as truth_reads,
       count(*) filter (where truth_known and identifiable) as identifiable_reads
from helix.reads where run_id = %(run_id)s
group by 1, 2 order by rows desc, 2

-- name: dead_letter_kinds
select error_kind, count(*) as rows
from helix.reads where run_id = %(run_id)s and disposition = 'dead_letter'
group by error_kind order by rows desc, error_kind

-- name: call_endings
select state, status, error_kind, count(*) as calls
from helix.api_calls where run_id = %(run_id)s and error_kind is not null
group by state, status, error_kind

-- name: reads_by_tier
select service_tier, count(*) as rows
from helix.reads where run_id = %(run_id)s and disposition = 'stored' and service_tier is not null
group by service_tier order by rows desc, service_tier

-- name: duplicates
select count(*) - count(distinct read_index) as duplicates from helix.reads where run_id = %(run_id)s

-- name: calls_by_state
select state, count(*) as calls, count(*) filter (where status = 429) as http_429,
       count(*) filter (where state <> 'intended' and (state <> 'failed' or status is not null)) as requests,  -- that left, or may have
       coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens, coalesce(sum(cached_tokens), 0)::bigint as cached_tokens,
       coalesce(sum(completion_tokens), 0)::bigint as completion_tokens, coalesce(sum(cost_usd), 0) as cost_usd,
       coalesce(sum(latency_ms) filter (where state = 'answered'), 0) as answered_ms,
       count(*) filter (where kind = 'repair') as repairs,
       count(*) filter (where retry and state <> 'intended' and (state <> 'failed' or status is not null)) as resent,
       count(*) filter (where usage_estimated) as usage_estimated
from helix.api_calls where run_id = %(run_id)s
group by state

-- name: reads_repaid
-- Apart: reads that were paid for twice if the requests of unknown end were billed.
select count(*) filter (where answered > 1) as reads_repaid, count(*) filter (where answered <= 1) as reads_possibly_repaid
from (
    select read_index, count(*) filter (where call.state = 'answered') as answered
    from helix.api_calls as call cross join lateral (select distinct unnest(call.read_indices)) as named (read_index)
    where call.run_id = %(run_id)s and (call.state = 'possibly_billed' or (
        call.state = 'answered' and call.kind = 'analysis'
        and (call.error_kind is null or call.error_kind = 'foreign_ids')  -- an answer that could not be used may be asked for again
    ))
    group by read_index
    having count(*) > 1
) as repaid

-- name: latency
select percentile_cont(array[0.5, 0.95, 0.99]) within group (order by latency_ms) as percentiles
from helix.reads where run_id = %(run_id)s and disposition = 'stored' and latency_ms is not null

-- name: controls
select request_id, action, actor, reason, value_from, value_to, accepted, message, asked_at, acknowledged_at, in_effect_at
from helix.control_events where run_id = %(run_id)s
order by asked_at, request_id

-- name: agreement
with compared as (
    select read.read_index, variant.pos, variant.ref, variant.alt,
           bool_or(variant.side = 'call') as called, bool_or(variant.side = 'baseline') as based
    from helix.reads as read
    left join helix.variant_calls as variant
           on variant.run_id = read.run_id and variant.read_index = read.read_index and variant.side in ('call', 'baseline')
          and coalesce(variant.outcome, 'ok') = 'ok'
    where read.run_id = %(run_id)s and read.disposition = 'stored' and not read.truth_known
    group by read.read_index, variant.pos, variant.ref, variant.alt
), by_read as (
    select read_index,
           count(*) filter (where called and based) as named_by_both,
           count(*) filter (where called and not based) as only_call,
           count(*) filter (where based and not called) as only_baseline
    from compared group by read_index
)
select count(*) as reads,
       count(*) filter (where only_call + only_baseline = 0) as reads_equal,
       coalesce(sum(named_by_both), 0)::bigint as named_by_both,
       coalesce(sum(only_call), 0)::bigint as only_call,
       coalesce(sum(only_baseline), 0)::bigint as only_baseline
from by_read

-- name: recent
select read.read_index, read.read_id, coalesce(read.contig, '') as contig, read.ref_start,
       left(read.seq, 401) as seq, left(coalesce(read.ref_seq, ''), 401) as ref_seq, read.mutation_detected,
       array(
           select jsonb_build_array(variant.side, variant.pos, variant.ref, variant.alt, variant.type, variant.outcome, variant.match)
           from helix.variant_calls as variant
           where variant.run_id = read.run_id and variant.read_index = read.read_index and variant.side in ('truth', 'call')
           order by variant.side desc, variant.ordinal
       ) as variants,
       read.cost_share_usd as cost_usd, read.disposition, read.error_kind, read.latency_ms, read.finished_at
from helix.reads as read
where read.run_id = %(run_id)s and (not %(alerts_only)s or read.mutation_detected)
order by read.finished_at desc, read.read_index desc
limit %(limit)s

-- name: read_reads
select read.read_index, read.read_id, coalesce(read.contig, '') as contig, coalesce(read.ref_start, 0) as ref_start,
       coalesce(read.strand, '+') as strand, read.ref_seq, read.seq, read.qual, read.truth_known, read.identifiable, read.strata,
       read.disposition, read.reason, coalesce(read.source, run.config #>> '{source,kind}') as source, read.errors_known,
       read.checksum, read.error_kind, read.error
from helix.reads as read join helix.runs as run using (run_id)
where read.run_id = %(run_id)s and read.read_index > %(after_index)s
order by read.read_index
limit %(limit)s

-- name: read_results
select read.read_index, read.read_id, coalesce(read.contig, '') as contig, coalesce(read.ref_start, 0) as ref_start,
       coalesce(read.strand, '+') as strand, read.ref_seq, read.seq, read.qual, read.truth_known, read.identifiable, read.strata,
       read.disposition, read.reason, coalesce(read.source, run.config #>> '{source,kind}') as source, read.errors_known,
       read.checksum, read.mutation_detected, read.raw_answer, read.model, read.prompt, read.prompt_hash, read.schema_hash,
       read.system_fingerprint, read.service_tier, read.call_id::text as call_id, read.cost_share_usd as cost_usd, read.latency_ms,
       read.queue_ms, read.attempts, coalesce(read.repairs, 0) as repairs, read.outcome, coalesce(read.leniency, '{}') as leniency,
       read.exact, read.baseline_exact, read.residual_edits, coalesce(read.capped, false) as capped, read.error_kind, read.error,
       read.finished_at
from helix.reads as read join helix.runs as run using (run_id)
where read.run_id = %(run_id)s and read.read_index > %(after_index)s
order by read.read_index
limit %(limit)s

-- name: variants_of_reads
select read_index, side, pos, ref, alt, type, event, length, spdi, titv, confidence, outcome, match, reason, detail, off_by, baseline,
       all_match
from helix.variant_calls
where run_id = %(run_id)s and side = any(%(sides)s) and read_index between %(first)s and %(last)s
order by read_index, side, ordinal

-- name: find_read
-- By its index, else by its id: an id that is a number is found where no index is meant.
select read_index from helix.reads
where run_id = %(run_id)s and (read_index = %(read_index)s::bigint or read_id = %(read_id)s)
order by read_index = %(read_index)s::bigint desc nulls last, read_index
limit 1

-- name: calls_of_read
select to_jsonb(call) as call from helix.api_calls as call
where run_id = %(run_id)s and %(read_index)s = any(read_indices)
order by created_at, call_id
limit %(limit)s

-- name: dead_letters
select read_index, read_id, error_kind, error, attempts, finished_at
from helix.reads
where run_id = %(run_id)s and disposition = 'dead_letter'
order by finished_at desc, read_index desc
limit %(limit)s
