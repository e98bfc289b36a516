-- core.swept_images: one row per image set of nearest captions, encoder, class and captioned picture
with searches as (
    select image_set, fetch_above from raw.neighbours
),

image_sets as (
    select image_set, profile from raw.image_sets where kind = 'neighbours'
),

neighbours as (
    select image_set, name, wnid, source, part, sample_id, similarity
    from core.neighbours
    where reason is null or reason = 'below_threshold'
),

images as (
    select source, sample_id, status, error_class, sha256, mode, width, height, phash from core.images
),

image_embeddings as (
    select source, part, sha256, profile, encoder, model_identity from core.image_embeddings where error is null
),

admitted as (
    select n.*, i.sha256, i.phash, s.profile
    from neighbours as n
    join searches as f using (image_set)
    join image_sets as s using (image_set)
    join images as i using (source, sample_id)
    where n.similarity > f.fetch_above
        and rejection(i.status, i.error_class, s.profile, i.mode, i.width, i.height) is null
),

final as (
    select
        a.image_set,
        e.encoder,
        a.wnid,
        a.name,
        a.source,
        a.part,
        a.sample_id,
        a.similarity,
        a.sha256,
        a.phash,
        e.profile as look,
    from admitted as a
    join image_embeddings as e
        on e.source = a.source and e.part = a.part and e.sha256 = a.sha256
        and list_contains(profiles_of(e.profile), a.profile)
)

select * from final
