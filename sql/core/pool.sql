-- core.pool: one row per pool, sample and class
with pools as (
    select recipe, matching from raw.recipes where is_pool
),

chosen as (
    select recipe, source, part, sample_id, wnid, similarity, image_similarity
    from core.laionet
    where image_similarity is not null
),

images as (
    select source, sample_id, status, error_class, sha256, mode, width, height, phash from core.images
),

final as (
    select
        recipe,
        source,
        s.part,
        sample_id,
        s.wnid,
        i.sha256,
        i.phash,
        s.similarity,
        s.image_similarity,
    from chosen as s
    join pools as p using (recipe)
    join images as i using (source, sample_id)
    where rejection(i.status, i.error_class, p.matching, i.mode, i.width, i.height) is null
    qualify count(*) over (partition by recipe, source, sample_id) = 1
)

select * from final
