-- marts.image_outcomes: one row per source, status and error class
with images as (
    select source, status, error_class from core.images
),

counted as (
    select source, status, coalesce(error_class, 'none') as error_class, count(*) as images
    from images
    group by all
),

final as (
    select source, status, error_class, images, images / sum(images) over (partition by source) as share
    from counted
)

select * from final
