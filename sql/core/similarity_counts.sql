-- core.similarity_counts: one row per encoder, matching profile, part, class and step of similarity
with thresholds as (
    select (step / 100)::double as threshold from unnest(range(-100, 101)) as steps (step)
),

-- what a row must pass to be safe: the rules of the recipes with this encoder and profile; where none has them, of all
recipes as (
    select encoder, matching, {'nsfw_tags': nsfw_tags, 'max_punsafe': max_punsafe} as rule from raw.recipes
),

rules as (
    select encoder, matching, list(distinct rule) as rules from recipes group by all
),

all_rules as (
    select list(distinct rule) as rules from recipes
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
        list_bool_and([
            unsafe_because(c.nsfw, rule.nsfw_tags, c.punsafe, rule.max_punsafe) is null
            for rule in coalesce(r.rules, a.rules)
        ]) as is_safe,
    from candidates as c
    join similarities as s using (source, sample_id, wnid)
    left join rules as r on r.encoder = s.encoder and r.matching = c.matching
    cross join all_rules as a
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
