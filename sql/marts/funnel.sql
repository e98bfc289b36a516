-- marts.funnel: one row per recipe, class and stage; the class '*' counts every row of the sources once
with recipes as (
    select recipe, duplicates from raw.recipes
),

parts as (
    select coalesce(sum(rows), 0)::bigint as rows, coalesce(sum(pairs), 0)::bigint as pairs from raw.parts
),

-- what each part's captions, source and pictures decide
counts as (
    select recipe, wnid, reason, sum(rows)::bigint as n from core.selection_counts group by all
),

chosen as (
    select recipe, wnid, count(*) as n from core.laionet group by all
    union all by name
    select recipe, '*' as wnid, count(*) as n from (select distinct recipe, source, sample_id from core.laionet)
    group by all
),

dropped as (
    select recipe, source, sample_id, wnid
    from core.duplicate_samples
    semi join (from recipes where duplicates = 'drop') using (recipe)
),

duplicates as (
    select recipe, wnid, count(*) as n from dropped group by all
    union all by name
    select recipe, '*' as wnid, count(distinct {'source': source, 'sample_id': sample_id}) as n
    from dropped
    group by recipe
),

-- stages in the order of the published pipeline
stages as (
    select * from (
        values
        (1, 'admitted'),
        (2, 'matched'),
        (3, 'single_label'),
        (4, 'safe'),
        (5, 'similar'),
        (6, 'not_removed'),
        (7, 'name_in_image'),
        (8, 'image_similar'),
        (9, 'distinct'),
        (10, 'top_k')
    ) as s (stage_position, stage)
),

counted as (
    select r.recipe, '*' as wnid, 'quarantined' as reason, p.rows - p.pairs as n,
    from recipes as r
    cross join parts as p
    union all by name
    select r.recipe, '*' as wnid, 'no_lemma' as reason, p.pairs - coalesce(sum(c.n), 0)::bigint as n,
    from recipes as r
    cross join parts as p
    left join counts as c on c.recipe = r.recipe and c.wnid = '*'
    group by r.recipe, p.pairs
    union all by name
    select recipe, wnid, reason, n from counts where reason <> 'none'
    union all by name
    select recipe, wnid, 'duplicate' as reason, n from duplicates
    union all by name
    select recipe, wnid, 'beyond_top_k' as reason, c.n - coalesce(d.n, 0) - coalesce(l.n, 0) as n,
    from counts as c
    left join duplicates as d using (recipe, wnid)
    left join chosen as l using (recipe, wnid)
    where reason = 'none'
    union all by name
    select recipe, wnid, 'none' as reason, n from chosen
),

placed as (
    select c.*, coalesce(s.stage_position, 11) as dropped_at,
    from counted as c
    left join stages as s on s.stage = stage_of(c.reason)
    where c.n <> 0
),

final as (
    select
        p.recipe,
        p.wnid,
        s.stage_position,
        s.stage,
        coalesce(sum(p.n) filter (p.dropped_at >= s.stage_position), 0)::bigint as rows_in,
        coalesce(sum(p.n) filter (p.dropped_at > s.stage_position), 0)::bigint as rows_out,
        coalesce(sum(p.n) filter (p.dropped_at = s.stage_position), 0)::bigint as rows_dropped,
        map_from_entries(
            coalesce(list((p.reason, p.n) order by p.reason) filter (p.dropped_at = s.stage_position), [])
        ) as dropped_by_reason,
    from placed as p
    join stages as s on s.stage_position >= 3 or p.wnid = '*'
    group by all
)

select * from final
