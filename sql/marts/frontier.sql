-- marts.frontier: one row per pool and share of it that the text threshold leaves
with recipes as (
    select recipe, matching, encoder, image_encoder, image_kind from raw.recipes
),

frontier as (
    select * from core.frontier
),

final as (
    select
        f.recipe,
        f.text_percent,
        f.point,
        r.matching,
        r.encoder,
        r.image_encoder,
        r.image_kind,
        f.text_threshold,
        f.image_threshold,
        f.images,
        f.classes,
        f.reference_images,
        f.pool_images,
    from frontier as f
    join recipes as r using (recipe)
)

select * from final
