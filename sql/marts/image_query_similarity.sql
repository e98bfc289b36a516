-- marts.image_query_similarity: one row per encoder, kind, image set and class
with similarities as (
    select encoder, kind, image_set, wnid, similarity from core.image_query_similarity
),

final as (
    select
        encoder,
        kind,
        image_set,
        wnid,
        count(*) as images,
        avg(similarity) as mean_similarity,
        stddev_samp(similarity) / sqrt(count(*)) as se,
        min(similarity) as least,
        median(similarity) as median_similarity,
        max(similarity) as most,
    from similarities
    group by all
)

select * from final
