-- A request is on record before it is sent: with what it reserved, in dollars and in tokens, and by whose permit.
-- One that never left is `failed` without a status from now on; rows from before end as `intended` there.

alter table helix.api_calls
    add column service_tier          text,
    add column prompt_estimate       bigint not null default 0,
    add column max_completion_tokens bigint not null default 0,
    add column throttle_epoch        text,
    add constraint api_calls_service_tier_check check (service_tier in ('on_demand', 'flex')) not valid,
    add constraint api_calls_prompt_estimate_check check (prompt_estimate >= 0) not valid,
    add constraint api_calls_max_completion_tokens_check check (max_completion_tokens >= 0) not valid;

create index api_calls_recent on helix.api_calls (model, created_at);

create or replace view helix.run_summary as
select run.run_id, run.name, run.backend, run.simulated, run.status, run.started_at, run.finished_at, run.resumes,
       rows.rows, rows.reads_stored, rows.dead_letters, rows.reads_unplaced, rows.reads_filtered, rows.reads_malformed,
       rows.reads_mutated,
       calls.requests, calls.http_429, calls.possibly_billed,
       calls.prompt_tokens, calls.cached_tokens, calls.completion_tokens, calls.cost_usd,
       calls.cost_usd * 1000 / nullif(rows.reads_stored, 0) as cost_per_1000_reads,
       rows.truth_reads, rows.identifiable_reads,
       run.reserved_usd
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
    select count(*) filter (where state <> 'intended' and (state <> 'failed' or api_calls.status is not null)) as requests,
           count(*) filter (where api_calls.status = 429) as http_429,
           count(*) filter (where state = 'possibly_billed') as possibly_billed,
           coalesce(sum(prompt_tokens), 0) as prompt_tokens,
           coalesce(sum(cached_tokens), 0) as cached_tokens,
           coalesce(sum(completion_tokens), 0) as completion_tokens,
           coalesce(sum(cost_usd), 0) as cost_usd
    from helix.api_calls where api_calls.run_id = run.run_id
) as calls;
