-- core.selection_counts: one row per recipe, part, class and reason; the class '*' counts each sample once
with dropped as (
    select recipe, source, part, sample_id, wnid, reason, false as is_selected
    from core.selection
    where reason is not null
),

seen as (
    select recipe, source, part, sample_id, wnid, coalesce(reason, 'none') as reason, true as is_selected
    from core.selection_seen
),

judged as (
    select * from dropped
    union all by name
    select * from seen
),

-- a caption that names several classes goes as far as the class of it that goes furthest
samples as (
    select
        recipe,
        source,
        part,
        sample_id,
        max(list_position(reasons(), reason)) as furthest,
        bool_or(is_selected) as is_selected,
    from judged
    group by all
),

final as (
    select recipe, source, part, wnid, reason, is_selected, count(*) as rows from judged group by all
    union all by name
    select recipe, source, part, '*' as wnid, reasons()[furthest] as reason, is_selected, count(*) as rows,
    from samples
    group by all
)

select * from final
