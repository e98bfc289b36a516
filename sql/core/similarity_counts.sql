-- core.similarity_counts: one row per encoder, matching profile, part, class and step of similarity
with thresholds as (
    select (step / 100)::double as threshold from unnest(range(-100, 101)) as steps (step)
),

-- what the recipes of a profile hold to be safe
rules as (
    select matching, list(distinct {'nsfw_tags': nsfw_tags, 'max_punsafe': max_punsafe}) as rules
    from raw.recipes
    group by matching
),

candidates as (
    select matching, source, part, sample_id, wnid, nsfw, punsafe from core.candidates where classes = 1
),

similarities as (
    select encoder, source, sample_id, wnid, similarity from core.caption_similarity
),

scored as (
    select
        s.encoder,
        c.matching,
        c.source,
        c.part,
        c.wnid,
        s.similarity,
        coalesce(
            list_bool_or([unsafe_because(c.nsfw, rule.nsfw_tags, c.punsafe, rule.max_punsafe) is null for rule in r.rules]),
            false
        ) as is_safe,
    from candidates as c
    join similarities as s using (source, sample_id, wnid)
    left join rules as r using (matching)
),

final as (
    select
        encoder,
        matching,
        source,
        part,
        wnid,
        threshold,
        count(*) as rows,
        count(*) filter (is_safe) as safe_rows,
    from scored
    asof join thresholds on scored.similarity > thresholds.threshold
    group by all
)

select * from final
