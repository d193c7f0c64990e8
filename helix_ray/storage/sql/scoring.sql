-- name: join_by_hash
-- For statements over a whole run. One that was just written has no statistics, so that it looks empty, and nested loops over it cheap.
select set_config('enable_nestloop', 'off', true)

-- name: group_by_hash
-- The planner cannot know how few levels there are: it would sort all variants once per dimension, at ten times the price.
select set_config('enable_sort', 'off', true)

-- name: counts
-- Truths, calls and the baseline's, by what came of them and by one dimension at a time.
with cube as materialized (
    select side, match, detail, outcome, baseline,
           type, subtype, event, n_truth, length, gc, homopolymer, third, identifiable, low_complexity,
           count(*) as times
    from helix.scored_variants
    where run_id = %(run_id)s and (match is not null or baseline is not null)
    group by side, match, detail, outcome, baseline,
             type, subtype, event, n_truth, length, gc, homopolymer, third, identifiable, low_complexity
)
select side, match, detail, outcome, baseline,
       array_position(array[
           grouping(type), grouping(subtype), grouping(event), grouping(n_truth), grouping(length), grouping(gc), grouping(homopolymer),
           grouping(third), grouping(identifiable), grouping(low_complexity)
       ], 0) - 1 as dimension,
       coalesce(type, subtype, event, n_truth, length, gc, homopolymer, third, identifiable, low_complexity) as level,
       sum(times)::bigint as times
from cube
group by side, match, detail, outcome, baseline, grouping sets (
    (type), (subtype), (event), (n_truth), (length), (gc), (homopolymer), (third), (identifiable), (low_complexity)
)

-- name: calls
-- Truths that were told and false calls by their confidence in hundredths: how many of 100 thresholds it reaches. False calls by their
-- distance from the truth that they missed too.
select match = 'TP' as matched, off_by, width_bucket(confidence, %(thresholds)s::double precision[]) as hundredth, count(*) as times
from helix.variant_calls
where run_id = %(run_id)s and ((side = 'truth' and match = 'TP') or (side = 'call' and match = 'FP'))
group by matched, off_by, hundredth

-- name: mistaken
-- Missed truths near which something was called, by their type and by what was called in their place (of several calls the last).
select coalesce(truth.type, 'INVALID') as type, coalesce(meant.type, 'INVALID') as called, meant.read_index is not null as found,
       count(*) as times
from helix.variant_calls as truth left join (
    select distinct on (read_index, pos - off_by) read_index, pos - off_by as place, type
    from helix.variant_calls
    where run_id = %(run_id)s and side = 'call' and off_by is not null
    order by read_index, pos - off_by, ordinal desc
) as meant on meant.read_index = truth.read_index and meant.place = truth.pos
where truth.run_id = %(run_id)s and truth.side = 'truth' and truth.match = 'FN' and truth.detail in ('near', 'allele')
group by truth.type, meant.type, found

-- name: profiles
-- How many clusters came out how, by type and over all of them (type NULL). A cluster: the reads of one request, or one read.
with by_cluster as (
    select read.call_id, case when read.call_id is null then read.read_index end as alone, variant.type,
           count(*) filter (where variant.match = 'TP') as tp,
           count(*) filter (where variant.match = 'FN') as fn,
           count(*) filter (where variant.match = 'FP') as fp,
           count(*) filter (where variant.match = 'FN' and read.disposition = 'dead_letter') as fn_failed
    from (
        select read_index, coalesce(type, 'INVALID') as type, side,
               case when %(all_differences)s then coalesce(all_match, match) else match end as match
        from helix.variant_calls
        where run_id = %(run_id)s and side in ('truth', 'call', 'error')
    ) as variant join helix.reads as read on read.run_id = %(run_id)s and read.read_index = variant.read_index
    where variant.match is not null and (variant.side <> 'call' or variant.match = 'FP')
    group by read.call_id, alone, variant.type
)
select type, tp, fn, fp, fn_failed, count(*) as clusters from by_cluster group by type, tp, fn, fp, fn_failed
union all
select null, tp, fn, fp, fn_failed, count(*)
from (
    select sum(tp)::bigint as tp, sum(fn)::bigint as fn, sum(fp)::bigint as fp, sum(fn_failed)::bigint as fn_failed
    from by_cluster group by call_id, alone
) as whole
group by tp, fn, fp, fn_failed

-- name: read_profiles
select reads, answered, exact, described, count(*) as clusters
from (
    select count(*) as reads,
           count(*) filter (where answered) as answered,
           count(*) filter (where exact) as exact,
           count(*) filter (where described) as described
    from (
        select call_id, case when call_id is null then read_index end as alone, exact, disposition = 'stored' as answered,
               disposition = 'stored' and residual_edits = 0 and not exists (
                   select from helix.variant_calls as call
                   where call.run_id = reads.run_id and call.read_index = reads.read_index and call.side = 'call'
                     and call.outcome not in ('ok', 'duplicate')
               ) as described
        from helix.reads
        where run_id = %(run_id)s and truth_known and disposition in ('stored', 'dead_letter')
    ) as read
    group by call_id, alone
) as cluster
group by reads, answered, exact, described

-- name: reads
-- Reads that were to be analysed and whose truth is known.
select count(*) as reads,
       count(*) filter (where answered) as answered,
       count(*) filter (where exact) as exact,
       count(*) filter (where baseline_exact) as baseline_exact,
       count(*) filter (where exact and baseline_exact) as both_exact,
       count(*) filter (where mutated and detected) as true_positive,
       count(*) filter (where not mutated and detected) as false_positive,
       count(*) filter (where mutated and not detected) as false_negative,
       count(*) filter (where answered and not mutated and not detected) as true_negative,  -- nobody said that the others are clean
       (
           select count(distinct call.read_index)
           from helix.variant_calls as call join helix.reads as read using (run_id, read_index)
           where call.run_id = %(run_id)s and call.side = 'call' and call.detail = 'invented'
             and read.disposition = 'stored' and read.truth_known
       ) as invented,
       (
           select count(distinct call.read_index)
           from helix.variant_calls as call join helix.reads as read using (run_id, read_index)
           where call.run_id = %(run_id)s and call.side = 'call' and call.match = 'FP' and call.reason like '%%' || %(in_the_read)s
             and read.disposition = 'stored' and read.truth_known
       ) as renumbered,
       count(*) filter (where capped) as capped,
       coalesce(sum(residual_edits) filter (where answered), 0)::bigint as residual_edits,
       coalesce(sum(truth_edits) filter (where answered), 0)::bigint as truth_edits
from (
    select disposition = 'stored' as answered, exact, baseline_exact, capped, residual_edits, truth_edits,
           disposition = 'stored' and coalesce(mutation_detected, false) as detected,
           coalesce(truth_variants > 0, exists (
               select from helix.variant_calls as truth
               where truth.run_id = reads.run_id and truth.read_index = reads.read_index and truth.side = 'truth'
           )) as mutated
    from helix.reads
    where run_id = %(run_id)s and truth_known and disposition in ('stored', 'dead_letter')
) as read

-- name: outcomes
select outcome, count(*) as calls
from helix.variant_calls
where run_id = %(run_id)s and side = 'call' and outcome is not null
group by outcome

-- name: leniency
select overlooked, count(*) as reads
from helix.reads cross join unnest(leniency) as overlooked
where run_id = %(run_id)s
group by overlooked

-- name: compared_reads
-- Each scored read. With ``errors`` a read is exact whose calls give it as it is, sequencing errors included.
copy (
    select read_index, coalesce(checksum, 0) as checksum,
           case when not %(errors)s then coalesce(exact, false)
                else disposition = 'stored' and residual_edits = 0 and not exists (
                    select from helix.variant_calls as call
                    where call.run_id = reads.run_id and call.read_index = reads.read_index and call.side = 'call'
                      and call.outcome not in ('ok', 'duplicate')
                ) end as exact,
           disposition = 'stored' as answered, coalesce(truth_variants, 0) = 0 as clean,
           coalesce(mutation_detected, false) as detected, case when %(packed)s then call_id end as request
    from helix.reads
    where run_id = %(run_id)s and truth_known and disposition in ('stored', 'dead_letter')
    order by read_index
) to stdout (format csv, header)

-- name: compared_variants
-- Truths and wrong calls, with the levels of each; with ``errors`` those of sequencing are truths too, known by their type alone.
copy (
    select read_index, case when %(errors)s then coalesce(all_match, match) else match end as match,
           type, subtype, event, n_truth, length, gc, homopolymer, third, identifiable, low_complexity
    from helix.scored_variants
    where run_id = %(run_id)s and disposition in ('stored', 'dead_letter') and match is not null
      and (side = 'truth' or (side = 'call' and case when %(errors)s then coalesce(all_match, match) else match end = 'FP'))
    union all
    select read_index, all_match, coalesce(type, 'INVALID'), null, null, null, null, null, null, null, null, null
    from helix.variant_calls
    where run_id = %(run_id)s and side = 'error' and all_match is not null and %(errors)s
) to stdout (format csv, header)
