-- core.class_weights: one row per image set, weighting and class that counts
with image_sets as (
    select image_set, weighted_by, has_class_list from raw.image_sets
),

class_lists as (
    select image_set, wnid from raw.class_lists
),

image_labels as (
    select distinct image_set, wnid from core.image_labels
),

published_classes as (
    select distinct image_set, wnid from raw.published_correctness
),

published_labels as (
    select image_set, wnid, images from raw.published_labels where images is not null
),

-- of recipes: what caption and source admit
selected as (
    select recipe, wnid, rows from core.selection_counts where is_selected and wnid <> '*'
),

synsets as (
    select wnid, paper_wnid from raw.synsets where paper_wnid <> wnid
),

classes as (
    select image_set, wnid from image_labels
    union
    select p.image_set, coalesce(s.wnid, p.wnid) as wnid
    from published_classes p
    left join synsets s on s.paper_wnid = p.wnid
),

-- the classes of a list count by the wnid that it has: the paper's husky names no class of ImageNet
counting as (
    select image_set, wnid from class_lists semi join (from image_sets where has_class_list) using (image_set)
    union all
    select image_set, wnid from classes semi join (from image_sets where not has_class_list) using (image_set)
),

-- label lists: rows of a recipe before its rules on text in images and top k, and published ones
listed as (
    select recipe as label_list, wnid, sum(rows)::bigint as images
    from selected
    where recipe in (select weighted_by from image_sets)
    group by all
    union all by name
    select p.image_set as label_list, coalesce(s.wnid, p.wnid) as wnid, sum(p.images)::bigint as images
    from published_labels p
    left join synsets s on s.paper_wnid = p.wnid
    group by all
),

totals as (
    select label_list, sum(images)::bigint as images from listed group by all having sum(images) > 0
),

final as (
    select image_set, 'equal' as weighting, wnid, null::varchar as label_list, 1::double as weight from counting
    union all by name
    select
        c.image_set,
        'laion' as weighting,
        c.wnid,
        t.label_list,
        coalesce(l.images, 0) / t.images as weight,
    from counting c
    join image_sets i using (image_set)
    join totals t on t.label_list = i.weighted_by
    left join listed l on l.label_list = t.label_list and l.wnid = c.wnid
)

select * from final
