-- Counts that do not depend on spelling: right calls count as the truths that they tell. With it the match against all differences of a
-- read, its sequencing errors among them, and the place of a variant instead of its window. New columns are NULL in the rows that are there.

alter table helix.variant_calls
    add column all_match      text,
    add column gc             text,
    add column homopolymer    text,
    add column low_complexity text,
    add constraint variant_calls_all_match_check check (all_match in ('TP', 'FP', 'FN')) not valid;

create or replace view helix.scored_variants as
select variant.run_id, run.backend, run.simulated, variant.read_index, read.disposition, variant.side, variant.ordinal,
       variant.pos, variant.ref, variant.alt,
       coalesce(variant.type, 'INVALID') as type,
       coalesce(variant.subtype, case when variant.type is null then 'INVALID' else 'unknown' end) as subtype,
       variant.event,
       level.n_truth, level.length,
       coalesce(variant.gc, 'unknown') as gc,
       coalesce(variant.homopolymer, 'unknown') as homopolymer,
       case when variant.pos between 1 and level.bases
            then case (variant.pos - 1) * 3 / level.bases when 0 then '1' when 1 then '2' else '3' end
            else 'outside' end as third,
       level.identifiable,
       variant.confidence, variant.outcome, variant.match,
       case when variant.subtype is not null then variant.detail
            when variant.side = 'truth' and variant.match = 'FN' and read.disposition = 'dead_letter' then 'failed'
            when variant.side <> 'truth' and variant.match = 'FP' and variant.reason = 'sequencing error' then 'error'
       end as detail,
       variant.off_by,
       case when variant.subtype is not null or variant.side <> 'truth' or read.baseline_calls is null then variant.baseline
            when exists (
                select from helix.variant_calls as found
                where found.run_id = variant.run_id and found.read_index = variant.read_index and found.side = 'baseline'
                  and found.match = 'TP' and (found.pos, found.ref, found.alt) = (variant.pos, variant.ref, variant.alt)
            ) then 'TP'
            else 'FN'
       end as baseline,
       coalesce(variant.low_complexity, 'unknown') as low_complexity,
       variant.all_match
from helix.variant_calls as variant join helix.reads as read using (run_id, read_index) join helix.runs as run using (run_id)
cross join lateral (
    select measure.bases,
           case when measure.truths > 3 then '4+' else coalesce(measure.truths::text, 'unknown') end as n_truth,
           case when measure.bases <= 75 then '1-75' when measure.bases <= 150 then '76-150' when measure.bases <= 300 then '151-300'
                else '301+' end as length,
           case when read.identifiable then 'yes' when not read.identifiable then 'no' else 'unknown' end as identifiable
    from (
        select length(read.ref_seq) as bases, coalesce(read.truth_variants, (read.strata ->> 'n_truth')::double precision::integer) as truths
        offset 0  -- evaluated once, not where it is used
    ) as measure
    offset 0  -- once a read, not once a variant
) as level
where variant.side <> 'error' and read.truth_known;

create or replace view helix.accuracy_by_type as
select counted.run_id, run.backend, run.simulated, type, tp, fp, fn,
       tp::double precision / nullif(tp + fp, 0) as precision, tp::double precision / nullif(tp + fn, 0) as recall,
       case when tp + fp > 0 and tp + fn > 0 then 2 * tp::double precision / (2 * tp + fp + fn) end as f1,
       fn_allele, fn_near, fn_failed, tp as query_tp, fp_error, fp_allele, fp_near, fp_invalid
from (
    select run_id, type,
           count(*) filter (where match = 'TP') as tp,
           count(*) filter (where side = 'truth' and match = 'FN') as fn,
           count(*) filter (where side = 'truth' and match = 'FN' and detail = 'allele') as fn_allele,
           count(*) filter (where side = 'truth' and match = 'FN' and detail = 'near') as fn_near,
           count(*) filter (where side = 'truth' and match = 'FN' and detail = 'failed') as fn_failed,
           count(*) filter (where side = 'call' and match = 'FP') as fp,
           count(*) filter (where side = 'call' and match = 'FP' and detail = 'error') as fp_error,
           count(*) filter (where side = 'call' and match = 'FP' and detail = 'allele') as fp_allele,
           count(*) filter (where side = 'call' and match = 'FP' and detail = 'near') as fp_near,
           count(*) filter (where side = 'call' and match = 'FP' and outcome is distinct from 'ok') as fp_invalid
    from helix.scored_variants
    where (side = 'truth' and match is not null) or (side = 'call' and match = 'FP')
    group by run_id, type
) as counted join helix.runs as run using (run_id);

create or replace view helix.ceiling_by_type as
select counted.run_id, run.backend, run.simulated, type, tp, fp, fn,
       tp::double precision / nullif(tp + fp, 0) as precision, tp::double precision / nullif(tp + fn, 0) as recall,
       case when tp + fp > 0 and tp + fn > 0 then 2 * tp::double precision / (2 * tp + fp + fn) end as f1,
       tp as query_tp, fp_error, fp_allele, fp_near
from (
    select run_id, type,
           count(*) filter (where side = 'truth' and baseline = 'TP') as tp,
           count(*) filter (where side = 'truth' and baseline = 'FN') as fn,
           count(*) filter (where side = 'baseline' and match = 'FP') as fp,
           count(*) filter (where side = 'baseline' and match = 'FP' and detail = 'error') as fp_error,
           count(*) filter (where side = 'baseline' and match = 'FP' and detail = 'allele') as fp_allele,
           count(*) filter (where side = 'baseline' and match = 'FP' and detail = 'near') as fp_near
    from helix.scored_variants
    where (side = 'truth' and baseline is not null) or (side = 'baseline' and match = 'FP')
    group by run_id, type
) as counted join helix.runs as run using (run_id);

-- A call has no event, so that no precision is known there.
create or replace view helix.accuracy_by_stratum as
select counted.run_id, run.backend, run.simulated, counted.dimension, counted.level,
       tp, fn, case when dimension <> 'event' then tp end as query_tp, case when dimension <> 'event' then fp end as fp,
       case when dimension <> 'event' then tp::double precision / nullif(tp + fp, 0) end as precision,
       tp::double precision / nullif(tp + fn, 0) as recall
from (
    select variant.run_id, stratum.dimension, stratum.level,
           count(*) filter (where variant.match = 'TP') as tp,
           count(*) filter (where variant.match = 'FN') as fn,
           count(*) filter (where variant.match = 'FP') as fp
    from helix.scored_variants as variant
    cross join lateral (values
        ('type', variant.type), ('subtype', variant.subtype), ('event', variant.event), ('n_truth', variant.n_truth),
        ('length', variant.length), ('gc', variant.gc), ('homopolymer', variant.homopolymer), ('third', variant.third),
        ('identifiable', variant.identifiable), ('low_complexity', variant.low_complexity)
    ) as stratum (dimension, level)
    where ((variant.side = 'truth' and variant.match is not null) or (variant.side = 'call' and variant.match = 'FP'))
      and stratum.level is not null
    group by variant.run_id, stratum.dimension, stratum.level
) as counted join helix.runs as run using (run_id);
