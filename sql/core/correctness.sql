-- core.correctness: one row per image set, image, class and model
with labels as (
    select image_set, image_id, wnid from core.image_labels where is_admitted
),

predictions as not materialized (
    select image_set, image_id, model, rank, wnid from core.predictions
),

synsets as (
    select wnid, paper_wnid from raw.synsets where paper_wnid <> wnid
),

published_results as (
    select * from raw.published_correctness
),

image_sets as (
    select image_set, zero_shot_missing from raw.image_sets
),

-- an image that a model predicted has a prediction of rank 1
answers as (
    select image_set, image_id, model, wnid from predictions where rank = 1
),

-- where the first is not right: the rank of the first that is any of the image's classes
later as (
    select image_set, image_id, model, min(rank) as rank
    from predictions
    join labels using (image_set, image_id, wnid)
    where rank > 1
    group by all
),

ranked as (
    select
        a.image_set,
        a.image_id,
        l.wnid,
        a.model,
        case when f.wnid is not null then 1 else r.rank end as rank,
    from answers a
    join labels l using (image_set, image_id)
    left join labels f on f.image_set = a.image_set and f.image_id = a.image_id and f.wnid = a.wnid
    left join later r on r.image_set = a.image_set and r.image_id = a.image_id and r.model = a.model
),

models as (
    select distinct image_set, model from answers
),

-- images that fewer models predicted than the image set has
lacking as (
    select l.image_set, l.image_id, l.wnid
    from labels l
    join (select image_set, count(*) as models from models group by all) m using (image_set)
    left join (select image_set, image_id, count(*) as models from answers group by all) a using (image_set, image_id)
    where coalesce(a.models, 0) < m.models
),

unanswered as (
    select l.image_set, l.image_id, l.wnid, m.model
    from lacking l
    join models m using (image_set)
    anti join (
        select a.image_set, a.image_id, a.model from answers a join lacking using (image_set, image_id)
    ) using (image_set, image_id, model)
),

-- nothing right in a picture that no other model has a value for: a zero-shot model did not see it either
published as (
    select
        p.* replace (coalesce(s.wnid, p.wnid) as wnid),
        i.zero_shot_missing = 'missing'
        and p.is_zero_shot
        and not coalesce(p.is_known_to_others, true)
        and not coalesce(greatest(
            p.top_1_is_correct, p.top_2_is_correct, p.top_3_is_correct, p.top_4_is_correct, p.top_5_is_correct
        ), false) as is_unknown,
    from published_results p
    join image_sets i using (image_set)
    left join synsets s on s.paper_wnid = p.wnid
    where p.has_name_in_text is distinct from true
),

final as (
    select
        image_set,
        image_id,
        wnid,
        model,
        coalesce(rank <= 1, false) as top_1_is_correct,
        coalesce(rank <= 2, false) as top_2_is_correct,
        coalesce(rank <= 3, false) as top_3_is_correct,
        coalesce(rank <= 4, false) as top_4_is_correct,
        coalesce(rank <= 5, false) as top_5_is_correct,
    from ranked
    union all by name
    select
        image_set,
        image_id,
        wnid,
        model,
        null::boolean as top_1_is_correct,
        null::boolean as top_2_is_correct,
        null::boolean as top_3_is_correct,
        null::boolean as top_4_is_correct,
        null::boolean as top_5_is_correct,
    from unanswered
    union all by name
    select
        image_set,
        image_id,
        wnid,
        model,
        case when not is_unknown then top_1_is_correct end as top_1_is_correct,
        case when not is_unknown then top_2_is_correct end as top_2_is_correct,
        case when not is_unknown then top_3_is_correct end as top_3_is_correct,
        case when not is_unknown then top_4_is_correct end as top_4_is_correct,
        case when not is_unknown then top_5_is_correct end as top_5_is_correct,
    from published
)

select * from final
