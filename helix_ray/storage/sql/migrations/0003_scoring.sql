-- How right each answer is: how a variant came to its match, what is true of a read as a whole, what an answer came to.
-- New columns are NULL in the rows that are there: what was not asked then is not made up now. Constraints are NOT VALID, as in 0002.

alter table helix.reads
    add column outcome        text,
    add column leniency       text[],
    add column repairs        integer,
    add column exact          boolean,
    add column baseline_exact boolean,
    add column residual_edits integer,
    add column capped         boolean,
    add column truth_variants integer,
    add column truth_edits    integer,
    add constraint reads_leniency_check check (leniency <@ array['fence', 'case', 'gap_allele', 'pos_text']) not valid,
    add constraint reads_repairs_check check (repairs >= 0) not valid,
    add constraint reads_residual_edits_check check (residual_edits >= 0) not valid;

alter table helix.variant_calls
    add column subtype  text,
    add column detail   text,
    add column off_by   smallint,
    add column baseline text,
    add constraint variant_calls_detail_check
        check (detail in ('allele', 'haplotype', 'error', 'near', 'invented', 'missed', 'failed')) not valid,
    add constraint variant_calls_off_by_check check (off_by between -5 and 5) not valid,
    add constraint variant_calls_baseline_check check (baseline in ('TP', 'FN')) not valid,
    add constraint baseline_is_of_truths check (baseline is null or side = 'truth') not valid;

alter table helix.api_calls
    drop constraint api_calls_kind_check,
    add constraint api_calls_kind_check check (kind in ('analysis', 'repair', 'probe')) not valid;

create or replace view helix.analyses as
select read.run_id, run.backend, run.simulated, read.read_index, read.read_id, read.contig, read.ref_start, read.strand,
       read.ref_seq, read.seq, read.qual, read.truth_known, read.identifiable, read.strata,
       read.mutation_detected, read.raw_answer, read.model, read.prompt, read.prompt_hash, read.schema_hash,
       read.system_fingerprint, read.service_tier, read.call_id, read.cost_share_usd, read.latency_ms, read.queue_ms,
       read.attempts, read.finished_at,
       origin.source,
       read.run_id || '/' || origin.source || '/' || lpad(read.read_index::text, greatest(12, length(read.read_index::text)), '0')
           as record_id,
       read.errors_known, read.checksum, read.baseline_calls,
       read.outcome, read.leniency, read.repairs, read.exact, read.baseline_exact, read.residual_edits, read.capped,
       read.truth_variants, read.truth_edits
from helix.reads as read join helix.runs as run using (run_id)
cross join lateral (select coalesce(read.source, run.config #>> '{source,kind}') as source) as origin
where read.disposition = 'stored';

create or replace view helix.dead_letters as
select read.run_id, run.backend, run.simulated, read.read_index, read.read_id, read.error_kind, read.error, read.attempts,
       read.raw_answer, read.model, read.call_id, read.contig, read.ref_start, read.strand, read.ref_seq, read.seq, read.qual,
       read.truth_known, read.finished_at,
       origin.source,
       read.run_id || '/' || origin.source || '/' || lpad(read.read_index::text, greatest(12, length(read.read_index::text)), '0')
           as record_id,
       read.errors_known, read.checksum, read.baseline_calls,
       read.outcome, read.leniency, read.repairs, read.baseline_exact, read.capped, read.truth_variants, read.truth_edits
from helix.reads as read join helix.runs as run using (run_id)
cross join lateral (select coalesce(read.source, run.config #>> '{source,kind}') as source) as origin
where read.disposition = 'dead_letter';

-- Truths and calls of reads with known truth, each with the levels by which results are broken down: those of helix_ray.scoring.strata.
-- A row from before this migration (it has no subtype) says by its match, its reason and its neighbours what is now in columns.
create view helix.scored_variants as
select variant.run_id, run.backend, run.simulated, variant.read_index, read.disposition, variant.side, variant.ordinal,
       variant.pos, variant.ref, variant.alt,
       coalesce(variant.type, 'INVALID') as type,
       coalesce(variant.subtype, case when variant.type is null then 'INVALID' else 'unknown' end) as subtype,
       variant.event,
       level.n_truth, level.length, level.gc, level.homopolymer,
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
       end as baseline
from helix.variant_calls as variant join helix.reads as read using (run_id, read_index) join helix.runs as run using (run_id)
cross join lateral (
    select measure.bases,
           case when measure.truths > 3 then '4+' else coalesce(measure.truths::text, 'unknown') end as n_truth,
           case when measure.bases <= 75 then '1-75' when measure.bases <= 150 then '76-150' when measure.bases <= 300 then '151-300'
                else '301+' end as length,
           coalesce((array[
               '0.0-0.1', '0.1-0.2', '0.2-0.3', '0.3-0.4', '0.4-0.5', '0.5-0.6', '0.6-0.7', '0.7-0.8', '0.8-0.9', '0.9-1.0', '0.9-1.0'
           ])[1 + measure.gc_tenth], 'unknown') as gc,  -- 1 has no tenth of its own
           case when measure.run <= 4 then '1-4' when measure.run <= 6 then '5-6' when measure.run <= 10 then '7-10'
                when measure.run > 10 then '11+' else 'unknown' end as homopolymer,
           case when read.identifiable then 'yes' when not read.identifiable then 'no' else 'unknown' end as identifiable
    from (
        select length(read.ref_seq) as bases,
               trunc((read.strata ->> 'gc')::double precision * 10)::integer as gc_tenth,
               trunc((read.strata ->> 'max_homopolymer')::double precision)::integer as run,
               coalesce(read.truth_variants, (read.strata ->> 'n_truth')::double precision::integer) as truths
        offset 0  -- evaluated once, not where it is used
    ) as measure
    offset 0  -- once a read, not once a variant
) as level
where variant.side <> 'error' and read.truth_known;

-- Truths and calls are counted each on its own side: precision is query_tp / (query_tp + fp), recall tp / (tp + fn).
create or replace view helix.accuracy_by_type as
select counted.run_id, run.backend, run.simulated, counted.type, counted.tp, counted.fp, counted.fn,
       share.precision, share.recall,
       case when share.precision > 0 and share.recall > 0
            then 2 * share.precision * share.recall / (share.precision + share.recall)
            else 0::double precision end as f1,
       counted.fn_allele, counted.fn_near, counted.fn_failed,
       counted.query_tp, counted.fp_error, counted.fp_allele, counted.fp_near, counted.fp_invalid
from (
    select run_id, type,
           count(*) filter (where side = 'truth' and match = 'TP') as tp,
           count(*) filter (where side = 'truth' and match = 'FN') as fn,
           count(*) filter (where side = 'truth' and match = 'FN' and detail = 'allele') as fn_allele,
           count(*) filter (where side = 'truth' and match = 'FN' and detail = 'near') as fn_near,
           count(*) filter (where side = 'truth' and match = 'FN' and detail = 'failed') as fn_failed,
           count(*) filter (where side = 'call' and match = 'TP') as query_tp,
           count(*) filter (where side = 'call' and match = 'FP') as fp,
           count(*) filter (where side = 'call' and match = 'FP' and detail = 'error') as fp_error,
           count(*) filter (where side = 'call' and match = 'FP' and detail = 'allele') as fp_allele,
           count(*) filter (where side = 'call' and match = 'FP' and detail = 'near') as fp_near,
           count(*) filter (where side = 'call' and match = 'FP' and outcome is distinct from 'ok') as fp_invalid
    from helix.scored_variants
    where side in ('truth', 'call') and match is not null
    group by run_id, type
) as counted join helix.runs as run using (run_id)
cross join lateral (
    select counted.query_tp::double precision / nullif(counted.query_tp + counted.fp, 0) as precision,
           counted.tp::double precision / nullif(counted.tp + counted.fn, 0) as recall
) as share;

-- As accuracy_by_type, of the aligner's calls, over reads with truth for which it was asked: the most that a model can be expected
-- to reach.
create or replace view helix.ceiling_by_type as
select counted.run_id, run.backend, run.simulated, counted.type, counted.tp, counted.fp, counted.fn,
       share.precision, share.recall,
       case when share.precision > 0 and share.recall > 0
            then 2 * share.precision * share.recall / (share.precision + share.recall)
            else 0::double precision end as f1,
       counted.query_tp, counted.fp_error, counted.fp_allele, counted.fp_near
from (
    select run_id, type,
           count(*) filter (where side = 'truth' and baseline = 'TP') as tp,
           count(*) filter (where side = 'truth' and baseline = 'FN') as fn,
           count(*) filter (where side = 'baseline' and match = 'TP') as query_tp,
           count(*) filter (where side = 'baseline' and match = 'FP') as fp,
           count(*) filter (where side = 'baseline' and match = 'FP' and detail = 'error') as fp_error,
           count(*) filter (where side = 'baseline' and match = 'FP' and detail = 'allele') as fp_allele,
           count(*) filter (where side = 'baseline' and match = 'FP' and detail = 'near') as fp_near
    from helix.scored_variants
    where (side = 'truth' and baseline is not null) or (side = 'baseline' and match is not null)
    group by run_id, type
) as counted join helix.runs as run using (run_id)
cross join lateral (
    select counted.query_tp::double precision / nullif(counted.query_tp + counted.fp, 0) as precision,
           counted.tp::double precision / nullif(counted.tp + counted.fn, 0) as recall
) as share;

-- The same counts by every dimension; each but event adds up to the totals. A call has no event: there truths alone are counted.
create view helix.accuracy_by_stratum as
select counted.run_id, run.backend, run.simulated, counted.dimension, counted.level,
       counted.tp, counted.fn, counted.query_tp, counted.fp,
       counted.query_tp::double precision / nullif(counted.query_tp + counted.fp, 0) as precision,
       counted.tp::double precision / nullif(counted.tp + counted.fn, 0) as recall
from (
    select variant.run_id, stratum.dimension, stratum.level,
           count(*) filter (where variant.side = 'truth' and variant.match = 'TP') as tp,
           count(*) filter (where variant.side = 'truth' and variant.match = 'FN') as fn,
           count(*) filter (where variant.side = 'call' and variant.match = 'TP') as query_tp,
           count(*) filter (where variant.side = 'call' and variant.match = 'FP') as fp
    from helix.scored_variants as variant
    cross join lateral (values
        ('type', variant.type), ('subtype', variant.subtype), ('event', variant.event), ('n_truth', variant.n_truth),
        ('length', variant.length), ('gc', variant.gc), ('homopolymer', variant.homopolymer), ('third', variant.third),
        ('identifiable', variant.identifiable)
    ) as stratum (dimension, level)
    where variant.side in ('truth', 'call') and variant.match is not null and stratum.level is not null
    group by variant.run_id, stratum.dimension, stratum.level
) as counted join helix.runs as run using (run_id);
