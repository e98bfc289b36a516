-- marts.threshold_sweep: one row per encoder, matching profile and threshold
with thresholds as (
    select (step / 100)::double as threshold from unnest(range(-100, 101)) as steps (step)
),

counts as (
    select encoder, matching, wnid, threshold, sum(rows) as rows, sum(safe_rows) as safe_rows,
    from core.similarity_counts
    group by all
),

rows_at as (
    select encoder, matching, threshold, sum(rows) as n, sum(safe_rows) as n_safe from counts group by all
),

-- a class is covered up to the step of its most similar row
best_of_class as (
    select encoder, matching, wnid, max(threshold) as best, max(threshold) filter (safe_rows > 0) as best_safe,
    from counts
    group by all
),

classes_at as (
    select encoder, matching, best as threshold, count(*) as n from best_of_class group by all
),

safe_classes_at as (
    select encoder, matching, best_safe as threshold, count(*) as n from best_of_class group by all
),

final as (
    select
        g.encoder,
        g.matching,
        t.threshold,
        coalesce(sum(r.n) over w, 0)::bigint as rows,
        coalesce(sum(c.n) over w, 0)::bigint as classes,
        coalesce(sum(r.n_safe) over w, 0)::bigint as safe_rows,
        coalesce(sum(s.n) over w, 0)::bigint as safe_classes,
    from (select distinct encoder, matching from counts) as g
    cross join thresholds as t
    left join rows_at as r using (encoder, matching, threshold)
    left join classes_at as c using (encoder, matching, threshold)
    left join safe_classes_at as s using (encoder, matching, threshold)
    window w as (
        partition by g.encoder, g.matching order by t.threshold desc rows between unbounded preceding and current row
    )
)

select * from final
