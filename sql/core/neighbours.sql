-- core.neighbours: one row per captioned picture that is looked for, with the nearest caption of all parts
with searches as (
    select image_set, captions_of, encoder, threshold, nsfw_tags, max_punsafe from raw.neighbours
),

set_captions as (
    select image_set, name, wnid, caption_id from core.set_captions where caption_id is not null
),

found as (
    select encoder, caption_id, source, part, sample_id, similarity, caption, nsfw, punsafe
    from core.caption_neighbours
),

nearest as (
    select *
    from found
    qualify row_number() over (partition by encoder, caption_id order by similarity desc, source, sample_id) = 1
),

final as (
    select
        s.image_set,
        c.name,
        c.wnid,
        c.caption_id,
        n.source,
        n.part,
        n.sample_id,
        n.similarity,
        n.caption,
        coalesce(
            case when c.wnid is null then 'no_class' end,
            unsafe_because(n.nsfw, s.nsfw_tags, n.punsafe, s.max_punsafe),
            case when n.similarity <= s.threshold then 'below_threshold' end
        ) as reason,
    from searches as s
    join set_captions as c on c.image_set = s.captions_of
    join nearest as n on n.encoder = s.encoder and n.caption_id = c.caption_id
)

select * from final
