-- marts.accuracy: one row per image set, model, k and weighting
with recalls as (
    select image_set, model, k, wnid, n, recall, se from marts.class_recall
),

weights as (
    select image_set, weighting, wnid, label_list, weight from core.class_weights where weight > 0
),

-- in the order of the classes, so that the last digit does not depend on threads
weighted as (
    select
        r.image_set,
        r.model,
        r.k,
        w.weighting,
        w.label_list,
        count(*) as classes,
        sum(r.n)::bigint as images,
        sum(w.weight * r.recall order by r.wnid) / sum(w.weight order by r.wnid) as accuracy,
        sqrt(sum((w.weight * r.se) ** 2 order by r.wnid)) / sum(w.weight order by r.wnid) as se,
    from recalls r
    join weights w using (image_set, wnid)
    group by all
),

final as (
    select
        image_set,
        model,
        k,
        weighting,
        classes,
        images,
        accuracy,
        se,
        greatest(accuracy - z_published() * se, 0) as ci_low,
        least(accuracy + z_published() * se, 1) as ci_high,
        label_list,
    from weighted
)

select * from final
