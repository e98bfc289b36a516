-- core.duplicate_samples: one row per recipe, sample and class that repeats the address and caption of another sample
with seen as not materialized (
    select recipe, source, part, sample_id, wnid, copy_key
    from core.selection_seen
    where reason is null and copy_key is not null
),

-- most addresses and captions come once: only of the others is it kept who says them
again as (
    select recipe, copy_key from seen group by all having count(*) > 1
),

-- whole samples, so that a caption of several classes is a duplicate in all of them or in none
repeated as (
    select
        recipe,
        copy_key,
        min(struct_pack(source := source, sample_id := sample_id, part := part)) as kept,
        max(struct_pack(source := source, sample_id := sample_id, part := part)) as last,
    from seen
    semi join again using (recipe, copy_key)
    group by all
    having kept <> last
),

final as (
    select
        s.recipe,
        s.source,
        s.part,
        s.sample_id,
        s.wnid,
        r.kept.source as kept_source,
        r.kept.part as kept_part,
        r.kept.sample_id as kept_sample_id,
    from seen as s
    join repeated as r using (recipe, copy_key)
    where (s.source, s.sample_id) <> (r.kept.source, r.kept.sample_id)
)

select * from final
