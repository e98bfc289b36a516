-- marts.funnel: one row per recipe, class and stage; the class '*' counts every row of the sources once
with recipes as (
    select * from raw.recipes
),

parts as (
    select coalesce(sum(rows), 0)::bigint as rows, coalesce(sum(pairs), 0)::bigint as pairs from raw.parts
),

candidates as (
    select matching, source, sample_id, wnid, url, classes, nsfw, punsafe from core.candidates
),

similarities as (
    select encoder, source, sample_id, wnid, similarity from core.caption_similarity
),

names as (
    select source, sample_id, wnid, has_name_paper, has_name_corrected from core.names_in_images
),

removed_samples as (
    select value from core.removals where kind = 'sample'
),

removed_urls as (
    select value from core.removals where kind = 'url_hash'
),

chosen as (
    select recipe, source, sample_id, wnid from core.laionet
),

-- stages in the order of the published pipeline, and the reasons for which each drops a row
stages as (
    select * from (
        values
        (1, 'admitted'),
        (2, 'matched'),
        (3, 'single_label'),
        (4, 'safe'),
        (5, 'similar'),
        (6, 'not_removed'),
        (7, 'name_in_image'),
        (8, 'top_k')
    ) s (stage_position, stage)
),

judged as (
    select
        r.recipe,
        r.matching,
        r.drop_text_in_image,
        c.source,
        c.sample_id,
        c.wnid,
        c.url,
        coalesce(
            dropped_by(
                c.classes, r.multi_label, c.nsfw, r.nsfw_tags, c.punsafe, r.max_punsafe, s.similarity, r.text_threshold
            ),
            case when l.sample_id is not null then 'none' end
        ) as reason,
    from candidates c
    join recipes r using (matching)
    left join similarities s
        on s.encoder = r.encoder and s.source = c.source and s.sample_id = c.sample_id and s.wnid = c.wnid
    left join chosen l
        on l.recipe = r.recipe and l.source = c.source and l.sample_id = c.sample_id and l.wnid = c.wnid
),

-- what captions admit and LAIONet does not have
judged_later as (
    select
        j.recipe,
        j.source,
        j.sample_id,
        j.wnid,
        coalesce(
            dropped_later(
                rs.value is not null or ru.value is not null,
                j.drop_text_in_image,
                has_name(j.matching, n.has_name_paper, n.has_name_corrected)
            ),
            'beyond_top_k'
        ) as reason,
    from judged j
    left join names n using (source, sample_id, wnid)
    left join removed_samples rs on rs.value = j.source || '/' || j.sample_id
    left join removed_urls ru on ru.value = sha256(j.url)
    where j.reason is null
),

all_judged as (
    select recipe, source, sample_id, wnid, reason from judged where reason is not null
    union all by name
    select * from judged_later
),

placed as (
    select j.*, coalesce(stages.stage_position, 9) as dropped_at
    from all_judged j
    left join stages on stages.stage = stage_of(j.reason)
),

-- a caption that names several classes is one row of '*': it goes as far as the class of it that goes furthest
samples as (
    select recipe, source, sample_id, max(dropped_at) as dropped_at, arg_max(reason, dropped_at) as reason
    from placed
    group by all
),

counted as (
    select recipe, wnid, dropped_at, reason, count(*) as n from placed group by all
    union all by name
    select recipe, '*' as wnid, dropped_at, reason, count(*) as n from samples group by all
    union all by name
    select r.recipe, '*' as wnid, 1 as dropped_at, 'quarantined' as reason, p.rows - p.pairs as n
    from recipes r cross join parts p
    where p.rows > p.pairs
    union all by name
    select r.recipe, '*' as wnid, 2 as dropped_at, 'no_lemma' as reason, p.pairs - count(s.sample_id) as n
    from recipes r cross join parts p left join samples s on s.recipe = r.recipe
    group by r.recipe, p.pairs
    having p.pairs > count(s.sample_id)
),

final as (
    select
        c.recipe,
        c.wnid,
        s.stage_position,
        s.stage,
        coalesce(sum(c.n) filter (c.dropped_at >= s.stage_position), 0)::bigint as rows_in,
        coalesce(sum(c.n) filter (c.dropped_at > s.stage_position), 0)::bigint as rows_out,
        coalesce(sum(c.n) filter (c.dropped_at = s.stage_position), 0)::bigint as rows_dropped,
        map_from_entries(
            coalesce(list((c.reason, c.n) order by c.reason) filter (c.dropped_at = s.stage_position), [])
        ) as dropped_by_reason,
    from counted c
    join stages s on s.stage_position >= 3 or c.wnid = '*'
    group by all
)

select * from final
