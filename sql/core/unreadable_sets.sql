-- core.unreadable_sets: one row per local image set that cannot be read
with files as (
    select image_set, outcome, reason from core.set_files
),

final as (
    select image_set, reason from files where outcome = 'cannot be read'
)

select * from final
