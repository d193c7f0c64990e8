-- name: start_run
insert into helix.runs (
    run_id, name, config, config_hash, seed, versions, backend, simulated, source_checksum, started_at
) values (
    %(run_id)s, %(name)s, %(config_json)s, %(config_hash)s, %(seed)s, %(versions)s, %(backend)s, %(simulated)s, %(source_checksum)s,
    %(started_at)s
)
on conflict (run_id) do nothing

-- name: config_hash
select config_hash from helix.runs where run_id = %(run_id)s

-- name: run_is_free
-- Until this transaction ends, nobody else can begin to write the run.
select pg_try_advisory_xact_lock(hashtextextended(%(run_id)s, 0)) as free

-- name: resume_run
-- What the run was told before is kept, so that every row can be traced to the configuration that made it.
update helix.runs
set status = 'running',
    finished_at = null,
    resumes = resumes + 1,
    earlier_configs = case
        when config::text = %(config_json)s::text and versions = %(versions)s::jsonb then earlier_configs
        else earlier_configs || jsonb_build_array(jsonb_build_object(
            'config', config, 'config_hash', config_hash, 'versions', versions, 'until', now()
        ))
    end,
    name = %(name)s,
    config = %(config_json)s::text::json,
    config_hash = %(config_hash)s,
    seed = %(seed)s,
    versions = %(versions)s::jsonb,
    backend = %(backend)s,
    simulated = simulated or %(simulated)s
where run_id = %(run_id)s

-- name: finish_run
update helix.runs set status = %(status)s, totals = %(totals)s, finished_at = now() where run_id = %(run_id)s

-- name: lock_run
-- Writers of one run take turns: totals add up, and a sink that was replaced while it hung cannot cross its successor.
-- No key update: it must not hold up the insert of requests that are about to be sent, which look up the run's key.
select 1 as found from helix.runs where run_id = %(run_id)s for no key update

-- name: incoming_calls
create temporary table if not exists incoming_calls (like helix.api_calls) on commit delete rows

-- name: copy_reads
copy helix.reads (
    run_id, read_index, disposition, read_id, contig, ref_start, strand, ref_seq, seq, qual, truth_known, identifiable, strata, reason,
    mutation_detected, raw_answer, model, prompt, prompt_hash, schema_hash, system_fingerprint, service_tier, call_id, cost_share_usd,
    latency_ms, queue_ms, attempts, error_kind, error, finished_at, source, errors_known, checksum, baseline_calls,
    outcome, leniency, repairs, exact, baseline_exact, residual_edits, capped, truth_variants, truth_edits
) from stdin

-- name: reads_with_rows
-- Asked while the run is locked. Looked up one by one: a join would scan the whole run for a small batch.
select wanted.read_index
from unnest(%(read_indices)s::bigint[]) as wanted (read_index)
where exists (select from helix.reads as read where read.run_id = %(run_id)s and read.read_index = wanted.read_index offset 0)

-- name: drop_answered
-- Answers that no read needs any more, now that these have their rows, which are looked up one by one.
delete from helix.receipts as receipt
where receipt.run_id = %(run_id)s and receipt.read_indices && %(read_indices)s::bigint[] and not exists (
    select from unnest(receipt.read_indices) as named (read_index)
    where not exists (
        select from helix.reads as read where read.run_id = receipt.run_id and read.read_index = named.read_index offset 0
    )
)

-- name: copy_variants
copy helix.variant_calls (
    run_id, read_index, side, ordinal, pos, ref, alt, type, event, confidence, outcome, match, reason, length, spdi, titv,
    subtype, detail, off_by, baseline, all_match, gc, homopolymer, low_complexity
) from stdin

-- name: copy_calls
copy pg_temp.incoming_calls (
    call_id, run_id, kind, attempt, read_indices, state, status, model, prompt_tokens, cached_tokens, completion_tokens,
    worst_case_usd, cost_usd, latency_ms, provider_request_id, error_kind, error, created_at, finished_at,
    service_tier, prompt_estimate, max_completion_tokens, throttle_epoch, retry, provider, usage_estimated
) from stdin

-- name: upsert_calls
-- A call moves forward only (intended, sent, possibly billed, failed, answered), so a replay changes nothing and an answer
-- that turns up late in a journal replaces a guess. The run's totals move by the difference.
with known as (
    select call.call_id, call.state, call.status, call.prompt_tokens, call.cached_tokens, call.completion_tokens, call.cost_usd
    from pg_temp.incoming_calls as incoming cross join lateral (
        select * from helix.api_calls as stored where stored.call_id = incoming.call_id
        offset 0  -- looked up one by one: a join would scan the whole table for a small batch
    ) as call
), written as (
    insert into helix.api_calls as call select * from pg_temp.incoming_calls
    on conflict (call_id) do update set
        state = excluded.state, status = excluded.status, attempt = excluded.attempt,
        prompt_tokens = excluded.prompt_tokens, cached_tokens = excluded.cached_tokens,
        completion_tokens = excluded.completion_tokens, worst_case_usd = excluded.worst_case_usd, cost_usd = excluded.cost_usd,
        latency_ms = excluded.latency_ms, provider_request_id = excluded.provider_request_id,
        error_kind = excluded.error_kind, error = excluded.error, finished_at = excluded.finished_at,
        usage_estimated = excluded.usage_estimated
    where array_position(array['intended', 'sent', 'possibly_billed', 'failed', 'answered'], excluded.state)
        > array_position(array['intended', 'sent', 'possibly_billed', 'failed', 'answered'], call.state)
    returning call.call_id, call.state, call.status, call.prompt_tokens, call.cached_tokens, call.completion_tokens, call.cost_usd
), difference as (
    select sum((written.state <> 'intended' and (written.state <> 'failed' or written.status is not null))::int
               - coalesce((known.state <> 'intended' and (known.state <> 'failed' or known.status is not null))::int, 0)) as requests,
           sum(written.prompt_tokens - coalesce(known.prompt_tokens, 0)) as prompt_tokens,
           sum(written.cached_tokens - coalesce(known.cached_tokens, 0)) as cached_tokens,
           sum(written.completion_tokens - coalesce(known.completion_tokens, 0)) as completion_tokens,
           sum(written.cost_usd - coalesce(known.cost_usd, 0)) as cost_usd
    from written left join known using (call_id)
)
update helix.runs as run
set requests = run.requests + difference.requests,
    prompt_tokens = run.prompt_tokens + difference.prompt_tokens,
    cached_tokens = run.cached_tokens + difference.cached_tokens,
    completion_tokens = run.completion_tokens + difference.completion_tokens,
    cost_usd = run.cost_usd + difference.cost_usd
from difference
where run.run_id = %(run_id)s and difference.requests is not null

-- name: add_rows
update helix.runs
set reads_stored = reads_stored + %(stored)s,
    dead_letters = dead_letters + %(dead_letter)s,
    reads_unplaced = reads_unplaced + %(unplaced)s,
    reads_filtered = reads_filtered + %(filtered)s,
    reads_malformed = reads_malformed + %(malformed)s
where run_id = %(run_id)s

-- name: record_control
insert into helix.control_events (request_id, run_id, action, actor, reason, value_from, value_to, asked_at)
values (%(request_id)s, %(run_id)s, %(action)s, %(actor)s, %(reason)s, %(value_from)s, %(value_to)s, %(asked_at)s)
on conflict (request_id) do nothing

-- name: mark_control
update helix.control_events
set accepted = coalesce(%(accepted)s, accepted),
    message = coalesce(%(message)s, message),
    value_from = coalesce(%(value_from)s, value_from),
    value_to = coalesce(%(value_to)s, value_to),
    acknowledged_at = coalesce(acknowledged_at, %(acknowledged_at)s),
    in_effect_at = coalesce(in_effect_at, %(in_effect_at)s)
where request_id = %(request_id)s
