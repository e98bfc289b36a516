-- marts.class_recall: one row per image set, model, k and class with at least one prediction
with correctness as (
    select * from core.correctness
),

counted as (
    select
        image_set,
        model,
        wnid,
        [
            count(top_1_is_correct),
            count(top_2_is_correct),
            count(top_3_is_correct),
            count(top_4_is_correct),
            count(top_5_is_correct),
        ] as n,
        [
            count_if(top_1_is_correct),
            count_if(top_2_is_correct),
            count_if(top_3_is_correct),
            count_if(top_4_is_correct),
            count_if(top_5_is_correct),
        ] as correct,
    from correctness
    group by all
),

by_k as (
    select
        image_set,
        model,
        wnid,
        generate_subscripts(n, 1)::integer as k,
        unnest(n)::bigint as n,
        unnest(correct)::bigint as correct,
    from counted
),

final as (
    select
        image_set,
        model,
        k,
        wnid,
        n,
        correct,
        correct / n as recall,
        wilson_low(correct, n) as ci_low,
        wilson_high(correct, n) as ci_high,
        wilson_se(correct, n) as se,
    from by_k
    where n >= 1
)

select * from final
