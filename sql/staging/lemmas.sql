-- sql/staging/lemmas.sql: one row per matching profile, class and lemma
with synsets as (
    select wnid, position, lemmas, in_paper_list, paper_wnid from raw.synsets
),

paper_lemmas as (
    select
        'paper' as matching,
        paper_wnid as wnid,
        position as synset_position,
        unnest(lemmas) as lemma,
        (generate_subscripts(lemmas, 1) - 1)::integer as lemma_position,
        string_split(lemma, ' ') as words,
    from synsets
    where in_paper_list
),

paper_flagged as (
    select
        *,
        count(*) over (partition by lemma) = 1 as is_unique,
        is_unique and lemma = punctuation_to_spaces(lemma) as is_matchable,
    from paper_lemmas
),

paper_containers as (
    select wnid, lemma, unnest(words) as word from paper_flagged where is_matchable
),

paper_shadows as (
    select
        containers.wnid,
        containers.lemma,
        list(distinct contained.lemma order by contained.lemma) as shadowed_by,
    from paper_containers as containers
    join paper_flagged as contained
        on contained.is_matchable
        and contained.words[1] = containers.word
        and contained.wnid <> containers.wnid
        and contains(' ' || containers.lemma || ' ', ' ' || contained.lemma || ' ')
    group by all
),

paper as (
    select flagged.*, coalesce(shadowed_by, []) as shadowed_by,
    from paper_flagged as flagged
    left join paper_shadows using (wnid, lemma)
),

corrected_lemmas as (
    select
        'corrected' as matching,
        wnid,
        position as synset_position,
        unnest(lemmas) as lemma,
        (generate_subscripts(lemmas, 1) - 1)::integer as lemma_position,
        fold_words(lemma) as words,
    from synsets
),

-- What classes there are for the same words: whether the words name the class, and whether it has others.
claims as (
    select
        words,
        wnid,
        bool_or(lemma_position = 0) as is_name,
        count(*) over (partition by wnid) = 1 as is_only,
    from corrected_lemmas
    group by words, wnid
),

owners as (
    select
        words,
        case
            when count(*) = 1 then any_value(wnid)
            when count(*) filter (is_name) = 1 then any_value(wnid) filter (is_name)
            when count(*) filter (is_name and is_only) = 1 then any_value(wnid) filter (is_name and is_only)
        end as owner,
    from claims
    group by words
),

corrected as (
    select
        lemmas.*,
        coalesce(wnid = owner, false) as is_unique,
        is_unique and len(words) > 0 as is_matchable,
        []::varchar[] as shadowed_by,
    from corrected_lemmas as lemmas
    join owners using (words)
),

final as (
    select * from paper
    union all by name
    select * from corrected
)

select * from final
