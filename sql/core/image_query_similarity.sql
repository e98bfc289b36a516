-- core.image_query_similarity: one row per encoder, kind, image set, picture that takes part and class
with image_sets as (
    select image_set, profile from raw.image_sets where kind = 'recipe'
),

image_labels as (
    select image_set, image_id, wnid, source, sample_id from core.image_labels where is_admitted
),

of_samples as (
    select encoder, kind, source, sample_id, wnid, unnest(profiles_of(profile)) as profile, similarity,
    from core.sample_query_similarity
),

of_sets as (
    select encoder, kind, image_set, image_id, wnid, similarity from core.set_query_similarity
),

final as (
    select
        s.encoder,
        s.kind,
        l.image_set,
        l.image_id,
        l.wnid,
        s.similarity,
    from image_labels as l
    join image_sets as i using (image_set)
    join of_samples as s
        on s.source = l.source and s.sample_id = l.sample_id and s.wnid = l.wnid and s.profile = i.profile
    union all by name
    select
        s.encoder,
        s.kind,
        l.image_set,
        l.image_id,
        l.wnid,
        s.similarity,
    from image_labels as l
    join of_sets as s using (image_set, image_id, wnid)
)

select * from final
