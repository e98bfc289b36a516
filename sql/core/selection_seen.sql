-- core.selection_seen: one row per recipe, sample and class that caption and source give no reason to drop
with recipes as (
    select recipe, matching, drop_text_in_image, image_encoder, image_kind, image_threshold from raw.recipes
),

selection as (
    select recipe, source, part, sample_id, wnid, similarity from core.selection where reason is null
),

removed as (
    select source, sample_id, true as is_removed from core.removed_samples
),

names as (
    select source, sample_id, wnid, has_name_paper, has_name_corrected from core.names_in_images
),

image_similarities as (
    select encoder, kind, source, sample_id, wnid, unnest(profiles_of(profile)) as matching, similarity,
    from core.sample_query_similarity
),

candidates as (
    select matching, source, sample_id, wnid, caption, url, width, height, nsfw, image_text_similarity,
    from core.candidates
),

seen as (
    select
        s.*,
        r.matching,
        r.drop_text_in_image,
        r.image_threshold,
        i.similarity as image_similarity,
        coalesce(g.is_removed, false) as is_removed,
        case r.matching when 'paper' then n.has_name_paper when 'corrected' then n.has_name_corrected end
            as has_name_in_image,
    from selection as s
    join recipes as r using (recipe)
    left join removed as g using (source, sample_id)
    left join names as n using (source, sample_id, wnid)
    left join image_similarities as i
        on i.encoder = r.image_encoder and i.kind = r.image_kind and i.matching = r.matching
        and i.source = s.source and i.sample_id = s.sample_id and i.wnid = s.wnid
),

judged as (
    select
        *,
        case
            when is_removed then 'removed'
            when drop_text_in_image and has_name_in_image then 'name_in_image'
            when image_threshold is not null and image_similarity is null then 'no_image_similarity'
            when image_similarity <= image_threshold then 'below_image_threshold'
        end as reason,
    from seen
),

-- what the source says of a removed sample goes no further than core.candidates
final as (
    select
        j.recipe,
        j.source,
        j.part,
        j.sample_id,
        j.wnid,
        j.similarity,
        case when not j.is_removed then c.caption end as caption,
        case when not j.is_removed then c.url end as url,
        c.width,
        c.height,
        c.nsfw,
        c.image_text_similarity,
        j.has_name_in_image,
        case when not j.is_removed then j.image_similarity end as image_similarity,
        case when not j.is_removed then copy_key(c.url, c.caption) end as copy_key,
        j.reason,
    from candidates as c
    join judged as j using (matching, source, sample_id, wnid)
)

select * from final
