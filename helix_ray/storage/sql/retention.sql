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

-- name: runs_of_input
select count(*) as runs from helix.runs where config::json -> 'source' ->> 'path' = %(path)s

-- name: schema_is_there
select to_regclass('helix.runs') is not null as found

-- name: count_runs
select count(*) as runs from helix.runs

-- name: drop_schema
drop schema helix cascade
