-- core.compared_images: one row per profile, image set, class, picture and encoder
with image_sets as (
    select image_set, profile from raw.image_sets where kind in ('recipe', 'neighbours')
),

recipes as (
    select recipe, top_k, image_threshold from raw.recipes
),

image_labels as (
    select image_set, image_id, wnid, source, part, sample_id, sha256 from core.image_labels where is_admitted
),

set_images as (
    select image_set, image_id, profile, mode, phash from core.set_images
),

images as not materialized (
    select source, sample_id, status, error_class, sha256, mode, width, height, phash from core.images
),

seen as (
    select recipe, source, part, sample_id, wnid, similarity, image_similarity
    from core.selection_seen
    where reason is distinct from 'removed'
),

neighbours as (
    select image_set, wnid, source, part, sample_id, count(*)::integer as copies
    from core.neighbours
    where reason is null
    group by all
),

image_embeddings as (
    select source, part, sha256, profile, encoder, model_identity from core.image_embeddings where error is null
),

set_embeddings as (
    select image_set, image_id, profile, encoder, model_identity from core.set_embeddings where error is null
),

-- the paper's list: text in images kept, the first hundred of a class before any is fetched (an image threshold needs
-- the pictures, in the paper too)
listed as (
    select
        s.*,
        r.top_k,
        row_number() over (
            partition by s.recipe, s.wnid order by s.similarity desc, s.source, s.sample_id
        ) as rank,
    from seen as s
    join recipes as r using (recipe)
    where r.image_threshold is null or s.image_similarity > r.image_threshold
),

first_listed as (
    select l.recipe, l.source, l.part, l.sample_id, l.wnid
    from listed as l
    where l.top_k is null or l.rank <= l.top_k
    qualify row_number() over (partition by l.recipe, l.wnid order by l.source, l.sample_id) <= 100
),

of_recipes as (
    select
        'paper' as profile,
        l.recipe as image_set,
        l.wnid,
        l.source || '/' || l.sample_id as image_id,
        l.source,
        l.part,
        i.sha256,
        s.profile as set_profile,
        i.phash,
    from first_listed as l
    join image_sets as s on s.image_set = l.recipe
    join images as i using (source, sample_id)
    where rejection(i.status, i.error_class, s.profile, i.mode, i.width, i.height) is null
    union all by name
    -- as published, once for each caption that points at it
    select
        'paper' as profile,
        n.image_set,
        n.wnid,
        n.source || '/' || n.sample_id as image_id,
        n.source,
        n.part,
        i.sha256,
        s.profile as set_profile,
        i.phash,
        n.copies,
    from neighbours as n
    join image_sets as s using (image_set)
    join images as i using (source, sample_id)
    where rejection(i.status, i.error_class, s.profile, i.mode, i.width, i.height) is null
    union all by name
    select
        'corrected' as profile,
        l.image_set,
        l.wnid,
        l.image_id,
        l.source,
        l.part,
        l.sha256,
        s.profile as set_profile,
        i.phash,
    from image_labels as l
    join image_sets as s using (image_set)
    join images as i using (source, sample_id)
),

of_local_sets as (
    select
        unnest(['corrected', 'paper']) as profile,
        l.image_set,
        l.wnid,
        l.image_id,
        l.sha256,
        i.phash,
    from image_labels as l
    join set_images as i using (image_set, image_id)
),

with_vectors as (
    select o.* exclude (set_profile), e.profile as look, e.encoder, e.model_identity
    from of_recipes as o
    join image_embeddings as e
        on e.source = o.source and e.part = o.part and e.sha256 = o.sha256
        and list_contains(profiles_of(e.profile), o.set_profile)
    union all by name
    select o.*, e.profile as look, e.encoder, e.model_identity
    from of_local_sets as o
    join set_embeddings as e using (image_set, image_id)
),

final as (
    select
        profile,
        image_set,
        encoder,
        wnid,
        image_id,
        source,
        part,
        sha256,
        look,
        phash,
        coalesce(copies, 1) as copies,
        model_identity,
    from with_vectors
)

select * from final
