-- sql/core/candidates.sql: one row per matching profile, sample and class found in its caption
with synsets as (
    select wnid, paper_wnid from raw.synsets
),

pairs as not materialized (
    select
        source, part, sample_id, caption, url, width, height, nsfw, punsafe, image_text_similarity, license, source_key,
    from raw.pairs
),

-- the paper's wnid of a class is not always the taxonomy's, by which queries, images and predictions go
classes_found as (
    select distinct
        m.matching,
        m.source,
        m.sample_id,
        case m.matching when 'paper' then s.wnid else m.wnid end as wnid,
    from core.caption_matches as m
    left join synsets as s on s.paper_wnid = m.wnid
),

counted as (
    select *, count(*) over (partition by matching, source, sample_id) as classes from classes_found
),

final as (
    select
        c.matching,
        c.source,
        p.part,
        c.sample_id,
        c.wnid,
        c.classes::integer as classes,
        md5_number_lower(p.caption) as caption_id,
        p.caption,
        p.url,
        p.width,
        p.height,
        p.nsfw,
        p.punsafe,
        p.image_text_similarity,
        p.license,
        p.source_key,
    from counted as c
    join pairs as p using (source, sample_id)
)

select * from final
