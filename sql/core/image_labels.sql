-- core.image_labels: one row per image set, picture and class
with image_sets as (
    select image_set, profile from raw.image_sets where kind in ('recipe', 'neighbours')
),

laionet as (
    select recipe as image_set, source, part, sample_id, wnid from core.laionet
),

-- a sample that several captions of a class point at is one picture
neighbours as (
    select distinct image_set, source, part, sample_id, wnid from core.neighbours where reason is null
),

samples as (
    select * from laionet
    union all by name
    select * from neighbours
),

images as (
    select source, sample_id, status, error_class, sha256, mode, width, height from core.images
),

set_images as (
    select * from core.set_images
),

members as (
    select
        l.image_set,
        l.source || '/' || l.sample_id as image_id,
        l.wnid,
        l.source,
        l.part,
        l.sample_id,
        i.sha256,
        rejection(i.status, i.error_class, s.profile, i.mode, i.width, i.height) as rejected_because,
    from samples l
    join image_sets s using (image_set)
    left join images i using (source, sample_id)
),

local_pictures as (
    select
        image_set,
        image_id,
        wnid,
        null as source,
        null as part,
        null as sample_id,
        sha256,
        rejected_because,
    from set_images
    where wnid is not null
),

pictures as (
    select * from members
    union all by name
    select * from local_pictures
),

final as (
    select
        image_set,
        image_id,
        wnid,
        source,
        part,
        sample_id,
        sha256,
        rejected_because is null as is_admitted,
        rejected_because,
    from pictures
)

select * from final
