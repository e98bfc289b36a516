-- core.selection_seen: one row per recipe, sample and class that caption and source give no reason to drop
with recipes as (
    select recipe, matching, drop_text_in_image from raw.recipes
),

selection as (
    select recipe, source, part, sample_id, wnid, similarity from core.selection where reason is null
),

candidates as (
    select matching, source, sample_id, wnid, caption, url, width, height, nsfw, image_text_similarity,
    from core.candidates
),

removed as (
    select source, sample_id, true as is_removed from core.removed_samples
),

names as (
    select source, sample_id, wnid, has_name_paper, has_name_corrected from core.names_in_images
),

seen as (
    select
        s.*,
        r.drop_text_in_image,
        coalesce(g.is_removed, false) as is_removed,
        case r.matching when 'paper' then n.has_name_paper when 'corrected' then n.has_name_corrected end
            as has_name_in_image,
        c.caption,
        c.url,
        c.width,
        c.height,
        c.nsfw,
        c.image_text_similarity,
    from selection as s
    join recipes as r using (recipe)
    join candidates as c
        on c.matching = r.matching and c.source = s.source and c.sample_id = s.sample_id and c.wnid = s.wnid
    left join removed as g on g.source = s.source and g.sample_id = s.sample_id
    left join names as n on n.source = s.source and n.sample_id = s.sample_id and n.wnid = s.wnid
),

-- what is known of a removed sample goes no further than core.candidates
final as (
    select
        recipe,
        source,
        part,
        sample_id,
        wnid,
        similarity,
        case when not is_removed then caption end as caption,
        case when not is_removed then url end as url,
        width,
        height,
        nsfw,
        image_text_similarity,
        has_name_in_image,
        case
            when is_removed then 'removed'
            when drop_text_in_image and has_name_in_image then 'name_in_image'
        end as reason,
    from seen
)

select * from final
