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

-- images and their labels get numbers: joining and grouping by one number is cheaper than by set and image
images as materialized (
    select
        image_set,
        image_id,
        any_value(wnid) as wnid,
        case when count(*) > 1 then list(wnid) end as wnids,
        row_number() over () as image_number,
    from labels
    group by all
),

numbered_labels as materialized (
    select l.image_set, l.image_id, l.wnid, i.image_number from labels l join images i using (image_set, image_id)
),

-- an image that a model predicted has a prediction of rank 1; it is right if it is any of the image's classes
answers as materialized (
    select
        p.image_set,
        i.image_number,
        p.model,
        p.wnid = i.wnid or coalesce(list_contains(i.wnids, p.wnid), false) as is_right,
    from predictions p
    join images i using (image_set, image_id)
    where p.rank = 1
),

-- rank of the first right one among the others
later as (
    select l.image_number, p.model, min(p.rank) as rank
    from predictions p
    join numbered_labels l using (image_set, image_id, wnid)
    where p.rank > 1
    group by all
),

models as (
    select distinct image_set, model from answers
),

-- images that fewer models predicted than the image set has
lacking as (
    select i.image_set, i.image_number
    from images i
    join (select image_set, count(*) as models from models group by all) m using (image_set)
    left join (select image_number, count(*) as models from answers group by all) a using (image_number)
    where coalesce(a.models, 0) < m.models
),

unanswered as (
    select l.image_number, m.model
    from lacking l
    join models m using (image_set)
    anti join (select a.image_number, a.model from answers a join lacking using (image_number))
        using (image_number, model)
),

ranked as (
    select a.image_number, a.model, true as is_answered, case when a.is_right then 1 else l.rank end as rank
    from answers a
    left join later l using (image_number, model)
    union all by name
    select image_number, model, false as is_answered from unanswered
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
        l.image_set,
        l.image_id,
        l.wnid,
        r.model,
        case when r.is_answered then coalesce(r.rank <= 1, false) end as top_1_is_correct,
        case when r.is_answered then coalesce(r.rank <= 2, false) end as top_2_is_correct,
        case when r.is_answered then coalesce(r.rank <= 3, false) end as top_3_is_correct,
        case when r.is_answered then coalesce(r.rank <= 4, false) end as top_4_is_correct,
        case when r.is_answered then coalesce(r.rank <= 5, false) end as top_5_is_correct,
    from ranked r
    join numbered_labels l using (image_number)
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
