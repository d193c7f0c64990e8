-- name: settings
-- Of every connection. An idle transaction is ended by the server, so that a client that was stopped holds no lock for long.
-- A server that answers a commit before it is on disk would lose, in a crash, what the queue was told is stored.
select set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'local'
                                        else current_setting('synchronous_commit') end, false),
       set_config('statement_timeout', %(timeout_ms)s, false),
       set_config('lock_timeout', %(timeout_ms)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_ms)s, false),
       set_config('tcp_keepalives_idle', '5', false),  -- a client whose machine vanished loses its claim in 14 s: a claim waits 15 s
       set_config('tcp_keepalives_interval', '3', false),
       set_config('tcp_keepalives_count', '3', false),
       set_config('timezone', 'UTC', false),
       set_config('datestyle', 'ISO', false),  -- psycopg reads no other, and a role or PGDATESTYLE may have set one
       set_config('intervalstyle', 'postgres', false)

-- name: claim_run
-- Held until the connection ends, however it ends.
select pg_try_advisory_lock(hashtextextended(%(run_id)s, 0)) as claimed

-- name: facts
select current_setting('server_version') as version,
       current_setting('server_version_num')::int as version_number,
       pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only,
       has_database_privilege(current_database(), 'CREATE') as may_create,
       has_database_privilege(current_database(), 'TEMPORARY') as may_use_temporary,
       to_regnamespace('helix') is not null as schema_exists,
       exists (
           select from pg_catalog.pg_class  -- to_regclass raises where the role may not use the schema
           where relnamespace = to_regnamespace('helix') and relname = 'schema_version'
       ) as migrated,
       current_setting('server_encoding') as encoding

-- name: schema_rights
select has_schema_privilege('helix', 'USAGE') as may_use, has_schema_privilege('helix', 'CREATE') as may_create

-- name: table_rights
select relation.relname as name
from pg_catalog.pg_class as relation
where relation.relnamespace = to_regnamespace('helix')
  and relation.relkind = 'r'
  and relation.relname in ('runs', 'reads', 'variant_calls', 'api_calls', 'receipts', 'control_events')
  and not (has_table_privilege(relation.oid, 'SELECT') and has_table_privilege(relation.oid, 'INSERT')
           and has_table_privilege(relation.oid, 'UPDATE')
           and (relation.relname <> 'receipts' or has_table_privilege(relation.oid, 'DELETE')))
order by 1

-- name: backend_pid
select pg_backend_pid() as pid

-- name: schema_version
select coalesce(max(version), 0) as version from helix.schema_version

-- name: migration_lock
-- Held until the migrating transaction ends; the number is arbitrary but for ever.
select pg_advisory_xact_lock(7237113840148)

-- name: schema_exists
-- From the catalog's tables: to_regnamespace may answer from a cache that is older than the lock just taken.
select exists (select from pg_catalog.pg_namespace where nspname = 'helix') as schema_exists,
       exists (
           select from pg_catalog.pg_class as relation
           join pg_catalog.pg_namespace as namespace on namespace.oid = relation.relnamespace
           where namespace.nspname = 'helix' and relation.relname = 'schema_version'
       ) as migrated

-- name: create_schema
create schema helix

-- name: create_version_table
create table helix.schema_version (
    version    integer primary key,
    name       text not null,
    applied_at timestamptz not null default now()
)

-- name: record_migration
insert into helix.schema_version (version, name) values (%(version)s, %(name)s)
