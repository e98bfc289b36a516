-- marts.real_accuracy: one row per copy of ImageNet's validation set, model and k
with image_sets as (
    select image_set from raw.image_sets where layout = 'ilsvrc2012-val'
),

labels as (
    select image_number, list(wnid) as wnids from raw.real_labels group by all
),

predictions as (
    select
        image_set,
        model,
        image_id,
        try_cast(regexp_extract(image_id, 'ILSVRC2012_val_(\d{8})', 1) as integer) as image_number,
        rank,
        wnid,
    from core.predictions
    semi join image_sets using (image_set)
),

ranked as (
    select p.image_set, p.model, p.image_id, min(p.rank) filter (list_contains(l.wnids, p.wnid)) as rank
    from predictions p
    join labels l using (image_number)
    group by all
),

counted as (
    select r.image_set, r.model, k.k, count(*) as images, count_if(r.rank <= k.k)::bigint as correct
    from ranked r
    cross join (select unnest(range(1, 6))::integer as k) k
    group by all
),

final as (
    select
        image_set,
        model,
        k,
        images,
        correct,
        correct / images as accuracy,
        wilson_low(correct, images) as ci_low,
        wilson_high(correct, images) as ci_high,
    from counted
)

select * from final
