-- Dead letters that were sent again: the row as it was, since a read has one final row.
create table helix.redriven (
    run_id      uuid not null references helix.runs on delete cascade,
    read_index  bigint not null,
    redriven_at timestamptz not null default now(),
    error_kind  text not null,
    error       text,
    attempts    integer not null,
    row         jsonb not null,
    primary key (run_id, read_index, redriven_at)
);
