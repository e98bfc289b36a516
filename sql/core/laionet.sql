-- core.laionet: one row per recipe, sample and class
with recipes as (
    select * from raw.recipes
),

candidates as (
    select * from core.candidates
),

similarities as (
    select encoder, source, sample_id, wnid, similarity from core.caption_similarity
),

judged as (
    select
        r.recipe,
        r.top_k,
        c.source,
        c.part,
        c.sample_id,
        c.wnid,
        s.similarity,
        c.caption,
        c.url,
        c.width,
        c.height,
        c.nsfw,
        c.image_text_similarity,
        dropped_by(
            c.classes, r.multi_label, c.nsfw, r.nsfw_tags, c.punsafe, r.max_punsafe, s.similarity, r.text_threshold
        ) as reason,
    from candidates c
    join recipes r using (matching)
    join similarities s
        on s.encoder = r.encoder and s.source = c.source and s.sample_id = c.sample_id and s.wnid = c.wnid
),

ranked as (
    select
        *,
        row_number() over (partition by recipe, wnid order by similarity desc, source, sample_id) as rank,
    from judged
    where reason is null
),

final as (
    select
        recipe,
        source,
        part,
        sample_id,
        wnid,
        similarity,
        rank,
        caption,
        url,
        width,
        height,
        nsfw,
        image_text_similarity,
    from ranked
    where top_k is null or rank <= top_k
)

select * from final
