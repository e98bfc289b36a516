-- core.image_requests: one row per sample whose picture a recipe asks for, or the nearest captions do
with recipes as (
    select
        recipe,
        matching,
        top_k,
        duplicates,
        drop_text_in_image or image_threshold is not null as wants_all,
        pictures_per_class,
    from raw.recipes
),

selection as (
    select recipe, source, part, sample_id, wnid, similarity from core.selection where reason is null
),

removed as (
    select source, sample_id, true as is_removed from core.removed_samples
),

addresses as (
    select matching, source, sample_id, wnid, url, copy_key(url, caption) as copy_key from core.candidates
),

-- what was removed takes nobody's place, nor does what a recipe without duplicates drops for another row of the part
judged as (
    select
        s.recipe,
        r.top_k,
        r.duplicates,
        r.wants_all,
        r.pictures_per_class,
        s.source,
        s.part,
        s.sample_id,
        s.wnid,
        s.similarity,
        coalesce(g.is_removed, false) as is_removed,
        a.url,
        not is_removed and a.copy_key is not null and s.sample_id > min(s.sample_id) over (
            partition by s.recipe, s.source, s.part, a.copy_key, coalesce(g.is_removed, false)
        ) as is_copy,
    from selection as s
    join recipes as r using (recipe)
    join addresses as a
        on a.matching = r.matching and a.source = s.source and a.sample_id = s.sample_id and a.wnid = s.wnid
    left join removed as g on g.source = s.source and g.sample_id = s.sample_id
),

-- the top k of all parts are among the top k of each
ranked as (
    select
        *,
        row_number() over (
            partition by recipe, source, part, wnid, is_removed
            order by similarity desc, sample_id
        ) as rank,
        row_number() over (
            partition by recipe, source, part, wnid, is_removed
            order by case when pictures_per_class is not null then drawn_by('picture', source, sample_id) end, sample_id
        ) as draw,
    from judged
    where wants_all or duplicates = 'keep' or not is_copy
),

asked as (
    select recipe, source, part, sample_id, case when not is_removed then url end as url, is_removed,
    from ranked
    where (top_k is null or wants_all or rank <= top_k)
        and (pictures_per_class is null or draw <= pictures_per_class)
),

neighbours as (
    select source, part, sample_id, url, false as is_removed from core.neighbour_requests
),

asked_by_any as (
    select * from asked
    union all by name
    select * from neighbours
),

final as (
    select
        source,
        part,
        sample_id,
        any_value(url) as url,
        coalesce(list_sort(list(distinct recipe) filter (recipe is not null)), []) as recipes,
        bool_or(recipe is null) as is_neighbour,
        is_removed,
    from asked_by_any
    group by all
)

select * from final
