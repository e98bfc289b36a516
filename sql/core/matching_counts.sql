-- core.matching_counts: one row per part and class: what profile "corrected" finds and "paper" does not, what it does
-- not and "paper" finds, and why
with synsets as (
    select wnid, in_paper_list, paper_wnid from raw.synsets
),

lemmas as (
    select matching, wnid, lemma, words, is_unique, is_matchable, shadowed_by from staging.lemmas
),

candidates as not materialized (
    select matching, source, part, sample_id, wnid, classes, caption from core.candidates
),

matches as not materialized (
    select matching, source, sample_id, lemma, wnid from core.caption_matches
),

-- each lemma under both profiles, by the taxonomy's wnid
lemma_facts as (
    select
        s.wnid,
        s.in_paper_list,
        c.lemma,
        p.is_unique as is_unique_paper,
        p.is_matchable as is_matchable_paper,
        len(p.shadowed_by) > 0 as is_shadowed,
        coalesce(bool_or(p.is_unique) over (partition by s.wnid), false) as has_unique_lemma,
        c.is_unique as is_unique_corrected,
        bool_or(c.is_unique) over (partition by c.words) as has_owner,
    from lemmas as c
    join synsets as s using (wnid)
    left join lemmas as p on p.matching = 'paper' and p.wnid = s.paper_wnid and p.lemma = c.lemma
    where c.matching = 'corrected'
),

compared as (
    select
        source,
        part,
        sample_id,
        wnid,
        coalesce(c.caption, p.caption) as caption,
        p.wnid is not null as is_found_paper,
        c.wnid is not null as is_found_corrected,
        coalesce(p.classes = 1, false) as is_row_paper,
        coalesce(c.classes = 1, false) as is_row_corrected,
    from (from candidates where matching = 'paper') as p
    full join (from candidates where matching = 'corrected') as c using (source, part, sample_id, wnid)
    where is_row_paper or is_row_corrected
),

-- the first reason that holds, of each lemma found; of several lemmas the one that paper came closest to finding
gained as (
    select
        source,
        part,
        sample_id,
        wnid,
        max(case
            when not f.in_paper_list then 1
            when not f.has_unique_lemma then 2
            when not f.is_unique_paper then 3
            when not f.is_matchable_paper then 4
            when f.is_shadowed then 5
            when is_found_paper then 6
            when contains(' ' || lower(punctuation_to_spaces(caption)) || ' ', ' ' || lower(lemma) || ' ') then 7
            else 8
        end) as reason,
    from compared
    join matches as m using (source, sample_id, wnid)
    join lemma_facts as f using (wnid, lemma)
    where is_row_corrected and not is_row_paper and m.matching = 'corrected'
    group by all
),

lost as (
    select
        c.source,
        c.part,
        c.sample_id,
        c.wnid,
        max(case
            when is_found_corrected then 1
            when f.is_unique_corrected then 2
            when f.has_owner then 3
            else 4
        end) as reason,
    from compared as c
    join synsets as s using (wnid)
    join matches as m on m.source = c.source and m.sample_id = c.sample_id and m.wnid = s.paper_wnid
    join lemma_facts as f on f.wnid = c.wnid and f.lemma = m.lemma
    where is_row_paper and not is_row_corrected and m.matching = 'paper'
    group by all
),

rows_counted as (
    select
        source,
        part,
        wnid,
        count(*) filter (is_row_paper) as rows_paper,
        count(*) filter (is_row_corrected) as rows_corrected,
        count(*) filter (is_row_paper and is_row_corrected) as rows_kept,
        count(*) filter (is_row_corrected and not is_row_paper) as rows_gained,
        count(*) filter (is_row_paper and not is_row_corrected) as rows_lost,
    from compared
    group by all
),

gains_counted as (
    select
        source,
        part,
        wnid,
        count(*) filter (reason = 1) as gained_not_in_paper_list,
        count(*) filter (reason = 2) as gained_no_unique_lemma,
        count(*) filter (reason = 3) as gained_shared_lemma,
        count(*) filter (reason = 4) as gained_punctuation_in_lemma,
        count(*) filter (reason = 5) as gained_shadowed,
        count(*) filter (reason = 6) as gained_several_classes,
        count(*) filter (reason = 7) as gained_case,
        count(*) filter (reason = 8) as gained_spacing_or_punctuation_in_caption,
    from gained
    group by all
),

losses_counted as (
    select
        source,
        part,
        wnid,
        count(*) filter (reason = 1) as lost_several_classes,
        count(*) filter (reason = 2) as lost_inside_longer_lemma,
        count(*) filter (reason = 3) as lost_lemma_of_another_class,
        count(*) filter (reason = 4) as lost_ambiguous_lemma,
    from lost
    group by all
),

final as (
    select
        r.*,
        coalesce(columns(g.* exclude (source, part, wnid)), 0),
        coalesce(columns(l.* exclude (source, part, wnid)), 0),
    from rows_counted as r
    left join gains_counted as g using (source, part, wnid)
    left join losses_counted as l using (source, part, wnid)
)

select * from final
