-- marts.class_frequency: one row per recipe and class of the taxonomy
with recipes as (
    select recipe from raw.recipes
),

synsets as (
    select wnid, class_index, name from raw.synsets
),

counted as (
    select recipe, wnid, count(*) as images, avg(similarity) as mean_similarity from core.laionet group by all
),

final as (
    select
        r.recipe,
        s.wnid,
        s.class_index,
        s.name,
        coalesce(c.images, 0) as images,
        coalesce(c.images / sum(c.images) over (partition by r.recipe), 0) as relative_frequency,
        c.mean_similarity,
    from recipes r
    cross join synsets s
    left join counted c on c.recipe = r.recipe and c.wnid = s.wnid
)

select * from final
