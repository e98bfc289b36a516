-- marts.intra_class_similarity_paper: one row per image set, encoder and class of at least 7 pairs
with final as (
    select
        image_set,
        encoder,
        wnid,
        images,
        pairs,
        mean_similarity,
        pairs_ci_low as ci_low,
        pairs_ci_high as ci_high,
    from core.class_similarity
    where profile = 'paper' and pairs >= 7
)

select * from final
