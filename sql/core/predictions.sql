-- core.predictions: one row per image set, picture, model and rank
with image_sets as (
    select image_set, profile from raw.image_sets where kind in ('recipe', 'neighbours')
),

admitted as (
    select distinct image_set, image_id, source, part, sha256 from core.image_labels where is_admitted
),

image_predictions as (
    select source, part, sha256, unnest(profiles_of(profile)) as profile, model, rank, wnid, score
    from core.image_predictions
    where wnid is not null
),

set_predictions as (
    select image_set, image_id, model, rank, wnid, score
    from core.set_predictions
    where wnid is not null
),

of_recipes as (
    select
        image_set,
        image_id,
        model,
        rank,
        wnid,
        score,
    from admitted
    join image_sets using (image_set)
    join image_predictions using (source, part, sha256, profile)
),

of_local_sets as (
    select
        image_set,
        image_id,
        model,
        rank,
        wnid,
        score,
    from admitted
    join set_predictions using (image_set, image_id)
),

final as (
    select * from of_recipes
    union all by name
    select * from of_local_sets
)

select * from final
