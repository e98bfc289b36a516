-- marts.zero_shot: one row per image set, zero-shot model and k
with predictors as (
    select model from raw.predictors where is_zero_shot
),

image_sets as (
    select image_set from raw.image_sets where kind <> 'published'
),

published as (
    select * from raw.published_correctness where is_zero_shot
),

correctness as not materialized (
    select * from core.correctness
),

-- of published results, images that the file has a value of; of own models, every admitted image
asked as (
    select
        image_set,
        image_id,
        model,
        bool_or(top_1_is_correct) as top_1_is_correct,
        bool_or(top_2_is_correct) as top_2_is_correct,
        bool_or(top_3_is_correct) as top_3_is_correct,
        bool_or(top_4_is_correct) as top_4_is_correct,
        bool_or(top_5_is_correct) as top_5_is_correct,
        [true, true, true, true, true] as is_asked,
    from correctness
    semi join predictors using (model)
    semi join image_sets using (image_set)
    group by image_set, image_id, model
    union all by name
    select
        c.image_set,
        c.image_id,
        c.model,
        bool_or(c.top_1_is_correct) as top_1_is_correct,
        bool_or(c.top_2_is_correct) as top_2_is_correct,
        bool_or(c.top_3_is_correct) as top_3_is_correct,
        bool_or(c.top_4_is_correct) as top_4_is_correct,
        bool_or(c.top_5_is_correct) as top_5_is_correct,
        [
            bool_or(p.top_1_is_correct is not null),
            bool_or(p.top_2_is_correct is not null),
            bool_or(p.top_3_is_correct is not null),
            bool_or(p.top_4_is_correct is not null),
            bool_or(p.top_5_is_correct is not null),
        ] as is_asked,
    from correctness c
    join published p using (image_set, image_id, model)
    group by c.image_set, c.image_id, c.model
),

by_k as (
    select
        image_set,
        model,
        generate_subscripts(is_asked, 1)::integer as k,
        unnest(is_asked) as is_asked,
        unnest([top_1_is_correct, top_2_is_correct, top_3_is_correct, top_4_is_correct, top_5_is_correct])
            as is_correct,
    from asked
),

final as (
    select
        image_set,
        model,
        k,
        count(*) as images,
        count(is_correct) as predicted,
        count(*) - count(is_correct) as missing,
        count_if(is_correct) / nullif(count(is_correct), 0) as accuracy,
        count_if(is_correct) / count(*) as accuracy_if_missing_is_wrong,
    from by_k
    where is_asked
    group by all
)

select * from final
