-- marts.matching_gain: one row per class: what profile "corrected" gains over "paper", what it loses, and why
with synsets as (
    select wnid, name, paper_wnid from raw.synsets
),

lemmas as (
    select matching, wnid, is_matchable, shadowed_by from staging.lemmas
),

wnids as (
    select wnid, unnest([
        {'matching': 'paper', 'wnid_of_lemmas': paper_wnid},
        {'matching': 'corrected', 'wnid_of_lemmas': wnid},
    ], recursive := true),
    from synsets
),

reach as (
    select
        s.wnid,
        coalesce(
            bool_or(l.is_matchable and len(l.shadowed_by) = 0) filter (l.matching = 'paper'), false
        ) as is_reachable_paper,
        bool_or(l.is_matchable) filter (l.matching = 'corrected') as is_reachable_corrected,
    from wnids as s
    join lemmas as l on l.matching = s.matching and l.wnid = s.wnid_of_lemmas
    group by s.wnid
),

counts as (
    select wnid, sum(columns(* exclude (source, part, wnid)))::bigint from core.matching_counts group by wnid
),

final as (
    select
        s.wnid,
        s.name,
        r.is_reachable_paper,
        r.is_reachable_corrected,
        coalesce(columns(c.* exclude (wnid)), 0),
    from synsets as s
    join reach as r using (wnid)
    left join counts as c using (wnid)
)

select * from final
