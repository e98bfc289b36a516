-- core.searched_captions: one row per sample of the part whose caption is searched for nearest ones
with searches as (
    select over from raw.neighbours
),

pairs as not materialized (
    select source, part, sample_id, caption, url, nsfw, punsafe from raw.pairs
),

-- a sample is a candidate of several classes and profiles
candidates as (
    select distinct source, part, sample_id, caption, url, nsfw, punsafe from core.candidates
),

-- nothing is read of what is not searched
searched as (
    select p.* from pairs as p join searches as s on s.over = 'all'
    union all by name
    select c.* from candidates as c join searches as s on s.over = 'candidates'
),

final as (
    select
        source,
        part,
        sample_id,
        md5_number_lower(caption) as caption_id,
        caption,
        url,
        nsfw,
        punsafe,
    from searched
    where trim(caption) <> ''
)

select * from final
