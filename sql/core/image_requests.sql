-- core.image_requests: one row per sample whose picture a recipe asks for
with recipes as (
    select * from raw.recipes
),

candidates as (
    select * from core.candidates
),

similarities as (
    select encoder, source, sample_id, wnid, similarity from core.caption_similarity
),

removals as (
    select kind, value from core.removals
),

removed as (
    select source, sample_id
    from candidates
    where source || '/' || sample_id in (select value from removals where kind = 'sample')
    union
    select source, sample_id from candidates where sha256(url) in (select value from removals where kind = 'url_hash')
),

judged as (
    select
        r.recipe,
        r.top_k,
        r.drop_text_in_image,
        c.source,
        c.part,
        c.sample_id,
        c.wnid,
        c.url,
        s.similarity,
        g.sample_id is not null as is_removed,
        dropped_by(
            c.classes, r.multi_label, c.nsfw, r.nsfw_tags, c.punsafe, r.max_punsafe, s.similarity, r.text_threshold
        ) as reason,
    from candidates c
    join recipes r using (matching)
    join similarities s
        on s.encoder = r.encoder and s.source = c.source and s.sample_id = c.sample_id and s.wnid = c.wnid
    left join removed g on g.source = c.source and g.sample_id = c.sample_id
),

-- the top k of all parts are among the top k of each; what was removed takes nobody's place
ranked as (
    select
        *,
        row_number() over (
            partition by recipe, source, part, wnid, is_removed order by similarity desc, sample_id
        ) as rank,
    from judged
    where reason is null
),

asked as (
    select
        recipe,
        source,
        part,
        sample_id,
        case when not is_removed then url end as url,
        is_removed,
    from ranked
    where top_k is null or drop_text_in_image or rank <= top_k
),

final as (
    select
        source,
        part,
        sample_id,
        any_value(url) as url,
        list_sort(list(distinct recipe)) as recipes,
        is_removed,
    from asked
    group by all
)

select * from final
