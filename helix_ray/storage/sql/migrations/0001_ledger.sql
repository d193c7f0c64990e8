-- The ledger: one final row per finished read, one row per request, and the run that they belong to.
-- Every column is described in docs/output.md. Migrations are append-only: a released file never changes.

create table helix.runs (
    run_id            uuid primary key,
    name              text not null,
    config            json not null,        -- json, not jsonb: its hash is that of the stored bytes
    config_hash       text not null,
    seed              bigint not null check (seed >= 0),
    versions          jsonb not null default '{}',
    backend           text not null check (backend in ('groq', 'emulator', 'aligner')),
    simulated         boolean not null,     -- stays true when a run is resumed with another backend: its first rows stay
    earlier_configs   jsonb not null default '[]',
    source_checksum   text,
    started_at        timestamptz not null,
    finished_at       timestamptz,
    status            text not null default 'running'
                      check (status in ('running', 'complete', 'limited', 'refused', 'stopped', 'failed')),
    reserved_usd      numeric(18, 12) not null default 0 check (reserved_usd >= 0),
    totals            jsonb,
    resumes           integer not null default 0,
    reads_stored      bigint not null default 0,
    dead_letters      bigint not null default 0,
    reads_unplaced    bigint not null default 0,
    reads_filtered    bigint not null default 0,
    reads_malformed   bigint not null default 0,
    requests          bigint not null default 0,
    prompt_tokens     bigint not null default 0,
    cached_tokens     bigint not null default 0,
    completion_tokens bigint not null default 0,
    cost_usd          numeric(18, 12) not null default 0,
    constraint emulator_is_simulated check (simulated or backend <> 'emulator')
);

create table helix.reads (
    run_id             uuid not null references helix.runs on delete cascade,
    read_index         bigint not null check (read_index >= 0),
    disposition        text not null check (disposition in ('stored', 'dead_letter', 'unplaced', 'filtered', 'malformed')),
    read_id            text not null,
    contig             text,
    ref_start          bigint check (ref_start >= 0),
    strand             text check (strand in ('+', '-')),
    ref_seq            text not null,
    seq                text not null,
    qual               text,
    truth_known        boolean not null,
    identifiable       boolean,
    strata             jsonb,
    reason             text,
    mutation_detected  boolean,
    raw_answer         text,
    model              text,
    prompt             text,
    prompt_hash        text,
    schema_hash        text,
    system_fingerprint text,
    service_tier       text,
    call_id            uuid,
    cost_share_usd     numeric(18, 12) not null default 0 check (cost_share_usd >= 0),
    latency_ms         double precision check (latency_ms >= 0 and latency_ms < 'Infinity'),
    queue_ms           double precision check (queue_ms >= 0 and queue_ms < 'Infinity'),
    attempts           integer not null default 0 check (attempts >= 0),
    error_kind         text,
    error              text,
    finished_at        timestamptz not null,
    primary key (run_id, read_index),
    constraint dead_letter_has_kind check (disposition <> 'dead_letter' or error_kind is not null)
);
create index reads_recent on helix.reads (run_id, finished_at desc);
create index reads_dead_letters on helix.reads (run_id, error_kind) where disposition = 'dead_letter';

create table helix.variant_calls (
    run_id     uuid not null,
    read_index bigint not null,
    side       text not null check (side in ('truth', 'call', 'baseline')),
    ordinal    integer not null check (ordinal >= 0),
    pos        bigint not null,
    ref        text not null,
    alt        text not null,
    type       text check (type in ('SNV', 'MNV', 'INS', 'DEL', 'DELINS')),
    event      text check (event in ('snv', 'mnv', 'ins', 'del', 'dup', 'inv', 'complex')),
    confidence double precision check (confidence between 0 and 1),
    outcome    text check (outcome in ('ok', 'ref_mismatch', 'out_of_range', 'bad_base', 'ref_equals_alt', 'overlap', 'duplicate')),
    match      text check (match in ('TP', 'FP', 'FN')),
    reason     text,
    primary key (run_id, read_index, side, ordinal),
    foreign key (run_id, read_index) references helix.reads on delete cascade,
    constraint truth_is_a_variant check (side <> 'truth' or (pos >= 1 and ref ~ '^[ACGTN]+$' and alt ~ '^[ACGTN]+$' and type is not null)),
    constraint match_fits_side check (match is null or side <> 'truth' or match <> 'FP'),
    constraint miss_fits_side check (match is null or side = 'truth' or match <> 'FN')
);

create table helix.api_calls (
    call_id             uuid primary key,
    run_id              uuid not null references helix.runs on delete cascade,
    kind                text not null check (kind in ('analysis', 'probe')),
    attempt             integer not null check (attempt >= 1),
    read_indices        bigint[] not null,
    state               text not null check (state in ('intended', 'sent', 'answered', 'failed', 'possibly_billed')),
    status              integer check (status between 100 and 599),
    model               text not null,
    prompt_tokens       bigint not null default 0 check (prompt_tokens >= 0),
    cached_tokens       bigint not null default 0 check (cached_tokens >= 0),
    completion_tokens   bigint not null default 0 check (completion_tokens >= 0),
    worst_case_usd      numeric(18, 12) not null default 0 check (worst_case_usd >= 0),
    cost_usd            numeric(18, 12) not null default 0 check (cost_usd >= 0),
    latency_ms          double precision check (latency_ms >= 0 and latency_ms < 'Infinity'),
    provider_request_id text,
    error_kind          text,
    error               text,
    created_at          timestamptz not null default now(),
    finished_at         timestamptz
);
create index api_calls_run on helix.api_calls (run_id, state);

create table helix.control_events (
    request_id      text primary key check (length(request_id) between 1 and 200),
    run_id          uuid not null references helix.runs on delete cascade,
    action          text not null check (action in ('pause', 'resume', 'rate', 'spike', 'drain', 'stop', 'concurrency', 'budget')),
    actor           text not null,
    reason          text,
    value_from      text,
    value_to        text,
    accepted        boolean,
    message         text,
    asked_at        timestamptz not null,
    acknowledged_at timestamptz,
    in_effect_at    timestamptz
);
create index control_events_run on helix.control_events (run_id, asked_at);

create view helix.analyses as
select read.run_id, run.backend, run.simulated, read.read_index, read.read_id, read.contig, read.ref_start, read.strand,
       read.ref_seq, read.seq, read.qual, read.truth_known, read.identifiable, read.strata,
       read.mutation_detected, read.raw_answer, read.model, read.prompt, read.prompt_hash, read.schema_hash,
       read.system_fingerprint, read.service_tier, read.call_id, read.cost_share_usd, read.latency_ms, read.queue_ms,
       read.attempts, read.finished_at
from helix.reads as read join helix.runs as run using (run_id)
where read.disposition = 'stored';

create view helix.dead_letters as
select read.run_id, run.backend, run.simulated, read.read_index, read.read_id, read.error_kind, read.error, read.attempts,
       read.raw_answer, read.model, read.call_id, read.contig, read.ref_start, read.strand, read.ref_seq, read.seq, read.qual,
       read.truth_known, read.finished_at
from helix.reads as read join helix.runs as run using (run_id)
where read.disposition = 'dead_letter';

create view helix.accuracy_by_type as
select scored.run_id, run.backend, run.simulated, scored.type, scored.tp, scored.fp, scored.fn,
       scored.tp::double precision / nullif(scored.tp + scored.fp, 0) as precision,
       scored.tp::double precision / nullif(scored.tp + scored.fn, 0) as recall,
       2.0::double precision * scored.tp / nullif(2 * scored.tp + scored.fp + scored.fn, 0) as f1
from (
    select run_id,
           coalesce(type, 'INVALID') as type,
           count(*) filter (where side = 'truth' and match = 'TP') as tp,
           count(*) filter (where side = 'call' and match = 'FP') as fp,
           count(*) filter (where side = 'truth' and match = 'FN') as fn
    from helix.variant_calls
    where match is not null
    group by run_id, coalesce(type, 'INVALID')
) as scored join helix.runs as run using (run_id)
where scored.tp + scored.fp + scored.fn > 0;

create view helix.run_summary as
select run.run_id, run.name, run.backend, run.simulated, run.status, run.started_at, run.finished_at, run.resumes,
       rows.rows, rows.reads_stored, rows.dead_letters, rows.reads_unplaced, rows.reads_filtered, rows.reads_malformed,
       rows.reads_mutated,
       calls.requests, calls.http_429, calls.possibly_billed,
       calls.prompt_tokens, calls.cached_tokens, calls.completion_tokens, calls.cost_usd,
       calls.cost_usd * 1000 / nullif(rows.reads_stored, 0) as cost_per_1000_reads
from helix.runs as run
cross join lateral (
    select count(*) as rows,
           count(*) filter (where disposition = 'stored') as reads_stored,
           count(*) filter (where disposition = 'dead_letter') as dead_letters,
           count(*) filter (where disposition = 'unplaced') as reads_unplaced,
           count(*) filter (where disposition = 'filtered') as reads_filtered,
           count(*) filter (where disposition = 'malformed') as reads_malformed,
           count(*) filter (where mutation_detected) as reads_mutated
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
