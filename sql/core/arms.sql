-- core.arms: one row per pool, way of choosing and picture
with pool as (
    select * from core.pool
),

points as (
    select recipe, point, text_threshold, image_threshold from core.frontier where point in ('A', 'B', 'C', 'D')
),

ranked as (
    select
        * exclude (similarity, image_similarity),
        least(50, count(*) over (partition by recipe, wnid) // 2) as arm_images,
        row_number() over (partition by recipe, wnid order by similarity desc, source, sample_id) as text_rank,
        row_number() over (partition by recipe, wnid order by image_similarity desc, source, sample_id) as image_rank,
        row_number() over (
            partition by recipe, wnid order by drawn_by('arm', source, sample_id), source, sample_id
        ) as random_rank,
    from pool
),

chosen as (
    select 'text' as arm, * from ranked where text_rank <= arm_images
    union all by name
    select 'image' as arm, * from ranked where image_rank <= arm_images
    union all by name
    select 'random' as arm, * from ranked where random_rank <= arm_images
    union all by name
    select t.point as arm, p.* exclude (similarity, image_similarity)
    from pool as p
    join points as t using (recipe)
    where p.similarity > t.text_threshold and (t.image_threshold is null or p.image_similarity > t.image_threshold)
),

final as (
    select
        recipe,
        arm,
        source,
        part,
        sample_id,
        wnid,
        sha256,
        phash,
    from chosen
)

select * from final
