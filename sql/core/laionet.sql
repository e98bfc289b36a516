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

names as (
    select source, sample_id, wnid, has_name_paper, has_name_corrected from core.names_in_images
),

removed_samples as (
    select value from core.removals where kind = 'sample'
),

removed_urls as (
    select value from core.removals where kind = 'url_hash'
),

judged as (
    select
        r.recipe,
        r.matching,
        r.drop_text_in_image,
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

judged_later as (
    select
        j.* exclude (reason),
        has_name(j.matching, n.has_name_paper, n.has_name_corrected) as has_name_in_image,
        dropped_later(
            rs.value is not null or ru.value is not null, j.drop_text_in_image, has_name_in_image
        ) as reason,
    from judged j
    left join names n using (source, sample_id, wnid)
    left join removed_samples rs on rs.value = j.source || '/' || j.sample_id
    left join removed_urls ru on ru.value = sha256(j.url)
    where j.reason is null
),

ranked as (
    select
        *,
        row_number() over (partition by recipe, wnid order by similarity desc, source, sample_id) as rank,
    from judged_later
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
        has_name_in_image,
    from ranked
    where top_k is null or rank <= top_k
)

select * from final
