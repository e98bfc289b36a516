-- marts.funnel: one row per recipe, class and stage; the class '*' counts every row of the sources once
with recipes as (
    select * from raw.recipes
),

parts as (
    select coalesce(sum(rows), 0)::bigint as rows, coalesce(sum(pairs), 0)::bigint as pairs from raw.parts
),

candidates as (
    select matching, source, sample_id, wnid, classes, nsfw, punsafe from core.candidates
),

similarities as (
    select encoder, source, sample_id, wnid, similarity from core.caption_similarity
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
        (6, 'top_k')
    ) s (stage_position, stage)
),

judged as (
    select
        r.recipe,
        c.source,
        c.sample_id,
        c.wnid,
        coalesce(
            dropped_by(
                c.classes, r.multi_label, c.nsfw, r.nsfw_tags, c.punsafe, r.max_punsafe, s.similarity, r.text_threshold
            ),
            case when l.sample_id is null then 'beyond_top_k' else 'none' end
        ) as reason,
    from candidates c
    join recipes r using (matching)
    left join similarities s
        on s.encoder = r.encoder and s.source = c.source and s.sample_id = c.sample_id and s.wnid = c.wnid
    left join chosen l
        on l.recipe = r.recipe and l.source = c.source and l.sample_id = c.sample_id and l.wnid = c.wnid
),

placed as (
    select judged.*, coalesce(stages.stage_position, 7) as dropped_at
    from judged
    left join stages on stages.stage = stage_of(judged.reason)
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
