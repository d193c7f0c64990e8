-- A read and its variants are written in one transaction, so looking up the parent of every variant found nothing but cost half of a
-- read's price. Deleting still takes the variants along, a statement at a time.

alter table helix.variant_calls drop constraint variant_calls_run_id_read_index_fkey;

create function helix.delete_variants() returns trigger language plpgsql as $$
begin
    delete from helix.variant_calls as variant using gone
    where variant.run_id = gone.run_id and variant.read_index = gone.read_index;
    return null;
end
$$;
create trigger reads_deleted after delete on helix.reads
    referencing old table as gone for each statement execute function helix.delete_variants();
