-- core.laionet: one row per recipe, sample and class
with recipes as (
    select recipe, top_k, duplicates from raw.recipes
),

-- read twice: captions and addresses of all parts are more than memory holds
seen as not materialized (
    select * exclude (reason) from core.selection_seen where reason is null
),

dropped as (
    select recipe, source, sample_id, wnid
    from core.duplicate_samples
    semi join (from recipes where duplicates = 'drop') using (recipe)
),

-- without captions and addresses, so that memory holds keys alone
ranked as (
    select
        recipe,
        source,
        sample_id,
        wnid,
        row_number() over (partition by recipe, wnid order by similarity desc, source, sample_id) as rank,
    from seen
    anti join dropped using (recipe, source, sample_id, wnid)
),

chosen as (
    select recipe, source, sample_id, wnid, rank
    from ranked
    join recipes using (recipe)
    where top_k is null or rank <= top_k
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
        image_similarity,
    from seen
    join chosen using (recipe, source, sample_id, wnid)
)

select * from final
