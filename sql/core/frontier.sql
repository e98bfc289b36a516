-- core.frontier: one row per pool and share of it that the text threshold leaves
with recipes as (
    select recipe, text_threshold from raw.recipes where is_pool
),

pool as (
    select recipe, wnid, similarity, image_similarity from core.pool
),

-- read off the published curve of size by threshold, CLIP above 0.72 being the pool
shares as (
    select * from (
        values
        (22, 'reference'), (28, 'A'), (34, null), (40, 'B'), (46, null), (51, null), (57, null), (62, 'C'), (70, null),
        (80, null), (90, null), (100, 'D')
    ) as s (text_percent, point)
),

sizes as (
    select recipe, count(*) as pool_images, count(*) * 22 // 100 as reference_images from pool group by recipe
),

by_text as (
    select recipe, similarity, row_number() over (partition by recipe order by similarity desc) as text_rank from pool
),

-- the first picture that is one too many, or what the pool itself asks for
text_thresholds as (
    select
        n.*,
        s.text_percent,
        s.point,
        coalesce(t.similarity, r.text_threshold) as text_threshold,
    from sizes as n
    cross join shares as s
    join recipes as r using (recipe)
    left join by_text as t on t.recipe = n.recipe and t.text_rank = n.pool_images * s.text_percent // 100 + 1
    where n.reference_images > 0
),

by_image as (
    select
        t.recipe,
        t.text_percent,
        p.wnid,
        p.image_similarity,
        row_number() over (partition by recipe, t.text_percent order by p.image_similarity desc) as image_rank,
    from text_thresholds as t
    join pool as p using (recipe)
    where p.similarity > t.text_threshold
),

thresholds as (
    select t.*, i.image_similarity as image_threshold,
    from text_thresholds as t
    left join by_image as i
        on i.recipe = t.recipe and i.text_percent = t.text_percent and i.image_rank = t.reference_images + 1
),

final as (
    select
        t.recipe,
        t.text_percent,
        t.point,
        t.text_threshold,
        t.image_threshold,
        count(i.wnid) as images,
        count(distinct i.wnid) as classes,
        t.reference_images,
        t.pool_images,
    from thresholds as t
    left join by_image as i
        on i.recipe = t.recipe and i.text_percent = t.text_percent
        and (t.image_threshold is null or i.image_similarity > t.image_threshold)
    group by all
)

select * from final
