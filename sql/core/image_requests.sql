-- core.image_requests: one row per sample whose picture a recipe asks for, or the nearest captions do
with recipes as (
    select recipe, matching, top_k, drop_text_in_image, image_threshold, pictures_per_class from raw.recipes
),

selection as (
    select recipe, source, part, sample_id, wnid, similarity from core.selection where reason is null
),

removed as (
    select source, sample_id, true as is_removed from core.removed_samples
),

addresses as (
    select matching, source, sample_id, wnid, url from core.candidates
),

-- the top k of all parts are among the top k of each; what was removed takes nobody's place
ranked as (
    select
        s.recipe,
        r.matching,
        r.top_k,
        r.drop_text_in_image or r.image_threshold is not null as wants_all,
        r.pictures_per_class,
        s.source,
        s.part,
        s.sample_id,
        s.wnid,
        coalesce(g.is_removed, false) as is_removed,
        row_number() over (
            partition by s.recipe, s.source, s.part, s.wnid, coalesce(g.is_removed, false)
            order by s.similarity desc, s.sample_id
        ) as rank,
        row_number() over (
            partition by s.recipe, s.source, s.part, s.wnid, coalesce(g.is_removed, false)
            order by case when r.pictures_per_class is not null then drawn_by('picture', s.source, s.sample_id) end, s.sample_id
        ) as draw,
    from selection as s
    join recipes as r using (recipe)
    left join removed as g using (source, sample_id)
),

asked as (
    select
        k.recipe,
        k.source,
        k.part,
        k.sample_id,
        case when not k.is_removed then a.url end as url,
        k.is_removed,
    from ranked as k
    join addresses as a using (matching, source, sample_id, wnid)
    where (k.top_k is null or k.wants_all or k.rank <= k.top_k)
        and (k.pictures_per_class is null or k.draw <= k.pictures_per_class)
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
