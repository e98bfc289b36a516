-- marts.intra_class_similarity: one row per image set, encoder and class with a pair
with final as (
    select
        image_set,
        encoder,
        wnid,
        images,
        pairs,
        mean_similarity,
        ci_low,
        ci_high,
        pairs_ci_low,
        pairs_ci_high,
        mean_distinct,
        n_exact,
        n_near,
        vendi,
    from core.class_similarity
    where profile = 'corrected' and pairs > 0
)

select * from final
