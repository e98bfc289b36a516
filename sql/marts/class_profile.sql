-- marts.class_profile: one row per ordered pair of image sets, encoder, model and class
with recalls as (
    select image_set, model, wnid, n, recall from marts.class_recall where k = 1
),

similarities as (
    select image_set, encoder, wnid, images, mean_similarity from marts.intra_class_similarity
),

weights as (
    select image_set, wnid, weight from core.class_weights where weighting = 'laion'
),

final as (
    select
        s.image_set,
        o.image_set as other_image_set,
        s.encoder,
        r.model,
        s.wnid,
        s.images,
        w.weight as relative_frequency,
        r.recall,
        s.mean_similarity,
        s.mean_similarity - o.mean_similarity as similarity_difference,
    from similarities as s
    join similarities as o on o.encoder = s.encoder and o.wnid = s.wnid and o.image_set <> s.image_set
    join recalls as r on r.image_set = s.image_set and r.wnid = s.wnid
    left join weights as w on w.image_set = s.image_set and w.wnid = s.wnid
)

select * from final
