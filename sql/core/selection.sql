-- core.selection: one row per recipe, sample and class of its caption
with recipes as (
    select recipe, matching, encoder, text_threshold, multi_label, nsfw_tags, max_punsafe from raw.recipes
),

candidates as (
    select matching, source, part, sample_id, wnid, classes, nsfw, punsafe from core.candidates
),

similarities as (
    select encoder, source, sample_id, wnid, similarity from core.caption_similarity
),

-- the first reason in the order of the published pipeline
final as (
    select
        r.recipe,
        c.source,
        c.part,
        c.sample_id,
        c.wnid,
        s.similarity,
        coalesce(
            case when r.multi_label = 'drop' and c.classes > 1 then 'several_classes' end,
            unsafe_because(c.nsfw, r.nsfw_tags, c.punsafe, r.max_punsafe),
            case
                when s.similarity is null then 'no_similarity'
                when s.similarity <= r.text_threshold then 'below_threshold'
            end
        ) as reason,
    from candidates as c
    join recipes as r using (matching)
    left join similarities as s
        on s.encoder = r.encoder and s.source = c.source and s.sample_id = c.sample_id and s.wnid = c.wnid
)

select * from final
