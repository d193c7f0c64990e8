-- name: intend_calls
-- Before the send. A call that is known already has begun; nothing about it changes.
insert into helix.api_calls
select * from jsonb_populate_recordset(null::helix.api_calls, %(calls)s::jsonb)
on conflict (call_id) do nothing

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
-- What the last 24 hours took from the limits of this model's key. A refusal takes nothing; a request without a known end counts
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
    where call.model = %(model)s and run.simulated = %(simulated)s and call.created_at > now() - interval '24 hours'
      and call.state <> 'failed' and not (call.state = 'intended' and call.finished_at is not null)
)
select greatest(min(age_s), 0) as age_s, count(*) as requests, sum(prompt_tokens)::bigint as prompt_tokens,
       sum(completion_tokens)::bigint as completion_tokens, service_tier
from charged
group by service_tier, floor(age_s / 60), case when age_s < 120 then call_id end
order by age_s
