-- marts.similarity_curves: one row per profile, pair of image sets, encoder and rank of a class
with tested as (
    select profile, image_set, other_image_set, encoder, wnid, difference, ci_low, ci_high
    from marts.similarity_comparison
    where p is not null
),

-- each curve is sorted by itself, as published: a row is no class
sorted as (
    select
        profile,
        image_set,
        other_image_set,
        encoder,
        count(*) as classes,
        list_sort(list(difference)) as differences,
        list_sort(list(ci_low)) as lows,
        list_sort(list(ci_high)) as highs,
    from tested
    group by all
),

final as (
    select
        profile,
        image_set,
        other_image_set,
        encoder,
        generate_subscripts(differences, 1) as class_rank,
        classes,
        unnest(differences) as difference,
        unnest(lows) as ci_low,
        unnest(highs) as ci_high,
    from sorted
)

select * from final
