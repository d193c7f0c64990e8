-- Answers as they arrived, from then until the last of their reads has its row. No reference to helix.runs: every batch of rows
-- locks its run there, and an answer must not wait for that.

create table helix.receipts (
    call_id      uuid primary key,
    run_id       uuid not null,
    read_indices bigint[] not null,
    arrived_at   timestamptz not null,
    status       smallint not null check (status between 100 and 599),
    body         bytea not null,
    unusable     bigint[] not null default '{}'  -- of its reads: a later request said that nothing was found for them
);
-- Most rows live for less than a second, and every send check reads those that are left.
alter table helix.receipts set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
