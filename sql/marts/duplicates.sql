-- marts.duplicates: one row per recipe and class; the class '*' counts each sample once
with recipes as (
    select recipe, duplicates from raw.recipes
),

-- rows that nothing but other rows can drop any more
counts as (
    select recipe, wnid, sum(rows)::bigint as rows from core.selection_counts where reason = 'none' group by all
),

found as (
    select recipe, source, part, sample_id, wnid, kept_source, kept_part from core.duplicate_samples
    union all by name
    select distinct recipe, source, part, sample_id, '*' as wnid, kept_source, kept_part from core.duplicate_samples
),

counted as (
    select
        recipe,
        wnid,
        count(*) as duplicates,
        count(*) filter (source = kept_source and part <> kept_part) as of_other_parts,
        count(*) filter (source <> kept_source) as of_other_sources,
    from found
    group by all
),

final as (
    select
        c.recipe,
        c.wnid,
        c.rows,
        coalesce(d.duplicates, 0) as duplicates,
        coalesce(d.of_other_parts, 0) as of_other_parts,
        coalesce(d.of_other_sources, 0) as of_other_sources,
        coalesce(d.duplicates, 0) / c.rows as share,
        r.duplicates = 'drop' as is_dropped,
    from counts as c
    join recipes as r using (recipe)
    left join counted as d using (recipe, wnid)
)

select * from final
