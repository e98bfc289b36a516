-- core.removed_samples: one row per sample of a candidate that a removal reaches
with candidates as not materialized (
    select source, part, sample_id, url from core.candidates
),

removed_samples as (
    select value from core.removals where kind = 'sample'
),

removed_addresses as (
    select value from core.removals where kind = 'url_hash'
),

final as (
    select source, part, sample_id from candidates semi join removed_samples on value = source || '/' || sample_id
    union
    select source, part, sample_id from candidates semi join removed_addresses on value = sha256(url)
)

select * from final
