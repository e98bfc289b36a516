-- marts.similarity_histogram: one row per profile, image set, encoder and bin with a pair
with classes as (
    select profile, image_set, encoder, wnid, histogram from core.class_similarity
),

bins as (
    select
        profile,
        image_set,
        encoder,
        generate_subscripts(histogram, 1) as bin,
        unnest(histogram) as pairs,
        len(histogram) as bins,
    from classes
),

counted as (
    select profile, image_set, encoder, bin, any_value(bins) as bins, sum(pairs)::bigint as pairs from bins group by all
),

final as (
    select
        profile,
        image_set,
        encoder,
        bin::integer as bin,
        -1 + (bin - 1) * 2 / bins as low,
        -1 + bin * 2 / bins as high,
        pairs,
        pairs / sum(pairs) over (partition by profile, image_set, encoder) as share,
    from counted
    where pairs > 0
)

select * from final
