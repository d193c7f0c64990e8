-- name: facts_of_reads
-- Of these reads, those that have a row or an answer on record, the oldest answer first. Rows are looked up one by one: before its first
-- statistics a run would be scanned whole for a small batch.
with stored as materialized (
    select call_id, arrived_at, read_indices, unusable from helix.receipts where run_id = %(run_id)s
)
select asked.read_index, true as done, null as call_id, null::bigint[] as read_indices, null::bigint[] as unusable
from unnest(%(asked)s::bigint[]) as asked (read_index)
where exists (select from helix.reads as read where read.run_id = %(run_id)s and read.read_index = asked.read_index offset 0)
union all
select *
from (
    select named.read_index, false, stored.call_id::text, stored.read_indices, stored.unusable
    from stored cross join lateral unnest(stored.read_indices) as named (read_index)
    where named.read_index = any(%(asked)s::bigint[])
    order by stored.arrived_at
) as answered

-- name: intend_calls
-- Before the send. A call that is known already has begun, and a receipt that is known is kept; nothing about them changes.
with arrived as (
    insert into helix.receipts (run_id, call_id, read_indices, arrived_at, status, body, unusable)
    select %(run_id)s, receipt.call_id, receipt.read_indices::bigint[], receipt.arrived_at, receipt.status, receipt.body,
           receipt.unusable::bigint[]
    from unnest(
        %(call_ids)s::uuid[], %(read_indices)s::text[], %(arrived)s::timestamptz[], %(statuses)s::smallint[], %(bodies)b::bytea[],
        %(unusable)s::text[]
    ) as receipt (call_id, read_indices, arrived_at, status, body, unusable)
    on conflict (call_id) do nothing
), judged as (
    update helix.receipts as receipt
    set unusable = receipt.unusable || named.read_indices
    from (
        select call_id, array_agg(read_index) as read_indices
        from unnest(%(judged_calls)s::uuid[], %(judged_reads)s::bigint[]) as pair (call_id, read_index)
        group by call_id
    ) as named
    where receipt.call_id = named.call_id
)
insert into helix.api_calls
select * from jsonb_populate_recordset(null::helix.api_calls, %(calls)s::jsonb)
on conflict (call_id) do nothing

-- name: stored_answers
select to_jsonb(call) as call, receipt.call_id::text, receipt.read_indices, receipt.arrived_at, receipt.status, receipt.body
from helix.receipts as receipt join helix.api_calls as call using (call_id)
where receipt.call_id = any(%(call_ids)s::uuid[])
order by receipt.arrived_at

-- name: drop_receipts
-- Of a run, those whose reads all have rows.
delete from helix.receipts as receipt
where receipt.run_id = %(run_id)s and not exists (
    select from unnest(receipt.read_indices) as named (read_index)
    where not exists (
        select from helix.reads as read where read.run_id = receipt.run_id and read.read_index = named.read_index offset 0
    )
)

-- name: on_record
select call_id from helix.api_calls where run_id = %(run_id)s and call_id = any(%(call_ids)s::uuid[])

-- name: authorise
-- What the throttle may have spent or reserved. It only rises while anybody may hold a permit.
update helix.runs set reserved_usd = greatest(reserved_usd, %(total_usd)s) where run_id = %(run_id)s
returning reserved_usd

-- name: reserved_usd
select reserved_usd from helix.runs where run_id = %(run_id)s

-- name: close_open_calls
-- Nobody is alive who could tell how these ended: each may have been sent and billed. The run's totals move along.
with known as (
    select call_id, cost_usd, state
    from helix.api_calls
    where run_id = %(run_id)s and (state = 'sent' or (state = 'intended' and finished_at is null))
    for update
), closed as (
    update helix.api_calls as call
    set state = 'possibly_billed', cost_usd = greatest(call.worst_case_usd, call.cost_usd), finished_at = now(),
        error_kind = coalesce(call.error_kind, 'abandoned'),
        error = coalesce(call.error, 'whoever sent it ended before it was answered')
    from known where call.call_id = known.call_id
    returning call.cost_usd - known.cost_usd as cost_usd, (known.state = 'intended')::int as request
), difference as (
    select coalesce(sum(cost_usd), 0) as cost_usd, coalesce(sum(request), 0) as requests from closed
)
update helix.runs as run
set cost_usd = run.cost_usd + difference.cost_usd, requests = run.requests + difference.requests
from difference where run.run_id = %(run_id)s

-- name: reserve_what_is_spent
update helix.runs set reserved_usd = %(total_usd)s where run_id = %(run_id)s

-- name: spent_usd
-- At most what was billed: a request whose end is not known counts at its worst case. One that ended as 'intended' never left.
select coalesce(sum(case
           when state in ('sent', 'possibly_billed') or (state = 'intended' and finished_at is null)
               then greatest(worst_case_usd, cost_usd)
           else cost_usd
       end), 0) as spent_usd
from helix.api_calls
where run_id = %(run_id)s and (%(but_incarnation)s::text is null or throttle_epoch is distinct from %(but_incarnation)s::text)

-- name: taken
-- What the last 24 hours took from the limits of this model at this provider. Rows of earlier versions name none. A refusal takes nothing; a request without a known end counts
-- with all that it may have used. One by one for two minutes, beyond that by the minute, each minute as young as its youngest.
with charged as (
    select call.call_id, coalesce(call.service_tier, 'on_demand') as service_tier,
           extract(epoch from now() - coalesce(
               call.finished_at - call.latency_ms * interval '1 millisecond', call.created_at
           ))::double precision as age_s,
           case when call.state = 'answered' and call.prompt_tokens > 0 then call.prompt_tokens - call.cached_tokens
                else greatest(call.prompt_estimate, call.prompt_tokens) end as prompt_tokens,
           case when call.state = 'answered' and call.prompt_tokens > 0 then call.completion_tokens
                else greatest(call.max_completion_tokens, call.completion_tokens) end as completion_tokens
    from helix.api_calls as call join helix.runs as run using (run_id)
    where call.model = %(model)s and (call.provider is null or call.provider = %(provider)s) and run.simulated = %(simulated)s and call.created_at > now() - interval '24 hours'
      and call.state <> 'failed' and not (call.state = 'intended' and call.finished_at is not null)
)
select greatest(min(age_s), 0) as age_s, count(*) as requests, sum(prompt_tokens)::bigint as prompt_tokens,
       sum(completion_tokens)::bigint as completion_tokens, service_tier
from charged
group by service_tier, floor(age_s / 60), case when age_s < 120 then call_id end
order by age_s
