-- core.neighbour_requests: one row per sample of the part whose picture the nearest captions ask for
with searches as (
    select encoder, fetch_above, nsfw_tags, max_punsafe from raw.neighbours
),

neighbours as (
    select encoder, source, part, sample_id, similarity, url, nsfw, punsafe from core.caption_neighbours
),

final as (
    select
        n.source,
        n.part,
        n.sample_id,
        any_value(n.url) as url,
        max(n.similarity) as similarity,
    from neighbours as n
    join searches as s using (encoder)
    where n.similarity > s.fetch_above and unsafe_because(n.nsfw, s.nsfw_tags, n.punsafe, s.max_punsafe) is null
    group by n.source, n.part, n.sample_id
)

select * from final
