-- marts.threshold_sweep: one row per encoder, matching profile and threshold
with thresholds as (
    select (step / 100)::double as threshold from unnest(range(-100, 101)) as steps (step)
),

labelled as (
    select matching, source, sample_id, wnid, nsfw is not null and nsfw = 'UNLIKELY' as is_safe
    from core.candidates
    where classes = 1
),

similarities as (
    select encoder, source, sample_id, wnid, similarity from core.caption_similarity
),

scored as (
    select encoder, matching, wnid, similarity, is_safe
    from labelled
    join similarities using (source, sample_id, wnid)
),

rows_at as (
    select encoder, matching, threshold, count(*) as n, count_if(is_safe) as n_safe
    from scored
    asof join thresholds on scored.similarity > thresholds.threshold
    group by all
),

best_of_class as (
    select encoder, matching, wnid, max(similarity) as similarity, max(similarity) filter (is_safe) as safe_similarity
    from scored
    group by all
),

classes_at as (
    select encoder, matching, threshold, count(*) as n
    from best_of_class
    asof join thresholds on best_of_class.similarity > thresholds.threshold
    group by all
),

safe_classes_at as (
    select encoder, matching, threshold, count(*) as n
    from best_of_class
    asof join thresholds on best_of_class.safe_similarity > thresholds.threshold
    group by all
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
    from (select distinct encoder, matching from scored) g
    cross join thresholds t
    left join rows_at r using (encoder, matching, threshold)
    left join classes_at c using (encoder, matching, threshold)
    left join safe_classes_at s using (encoder, matching, threshold)
    window w as (
        partition by g.encoder, g.matching order by t.threshold desc rows between unbounded preceding and current row
    )
)

select * from final
