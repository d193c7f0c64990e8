-- name: delete_receipts
delete from helix.receipts where run_id = %(run_id)s

-- name: delete_variants
delete from helix.variant_calls where run_id = %(run_id)s

-- name: delete_reads
delete from helix.reads where run_id = %(run_id)s

-- name: delete_requests
delete from helix.api_calls where run_id = %(run_id)s

-- name: delete_commands
delete from helix.control_events where run_id = %(run_id)s

-- name: delete_run
delete from helix.runs where run_id = %(run_id)s

-- name: counts_for_limits
select exists (
    select from helix.api_calls as call join helix.runs as run using (run_id)
    where run_id = %(run_id)s and not run.simulated and call.created_at > now() - interval '24 hours'
) as found

-- name: runs_of_input
select count(*) as runs from helix.runs where config::json -> 'source' ->> 'path' = %(path)s

-- name: schema_is_there
select to_regclass('helix.runs') is not null as found

-- name: count_runs
select count(*) as runs from helix.runs

-- name: drop_schema
drop schema helix cascade

-- name: redrive
-- The requests stay, and so does what they cost. Variants go with their read.
with gone as (
    delete from helix.reads as read
    where read.run_id = %(run_id)s and read.disposition = 'dead_letter' and read.read_index = any(%(read_indices)s::bigint[])
    returning read.*
), kept as (
    insert into helix.redriven (run_id, read_index, error_kind, error, attempts, row)
    select run_id, read_index, error_kind, error, attempts, to_jsonb(gone) from gone
    returning read_index
), counted as (
    select count(*) as reads from kept
), run as (
    update helix.runs
    set dead_letters = dead_letters - counted.reads, status = case when status = 'complete' then 'stopped' else status end
    from counted
    where run_id = %(run_id)s and counted.reads > 0
)
select reads from counted
