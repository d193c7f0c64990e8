-- Calls that name an excerpt of the window in place of a position: one that stands there several times places nothing.
alter table helix.variant_calls drop constraint variant_calls_outcome_check;
alter table helix.variant_calls add constraint variant_calls_outcome_check check (
    outcome in ('ok', 'ref_mismatch', 'out_of_range', 'bad_base', 'ref_equals_alt', 'ambiguous', 'overlap', 'duplicate')
) not valid;
