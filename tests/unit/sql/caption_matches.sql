-- tests/unit/sql/caption_matches.sql: core.caption_matches as one SELECT, one step a rule
--
-- What the product's matchers must find, to be read and to be tested against. It takes its time: each caption is
-- compared with each lemma, each of its words with all that can begin there.
with pairs as (
    select source, part, sample_id, caption from raw.pairs where caption is not null
),

lemmas as (
    select matching, wnid, lemma, words from staging.lemmas where is_matchable
),

-- profile "paper": ' lemma ' lies in ' caption ' once every ASCII punctuation character is a space
paper as (
    select
        'paper' as matching,
        source,
        part,
        sample_id,
        lemma,
        wnid,
        strpos(text, ' ' || lemma || ' ') - 1 as char_offset,
        length(lemma) as char_length,
    from (select *, ' ' || punctuation_to_spaces(caption) || ' ' as text from pairs)
    cross join lemmas
    where matching = 'paper' and char_offset >= 0
),

-- profile "corrected": the words of a lemma are there in a row, also where they stand for no class
readings as (
    select distinct words, len(words) as length from staging.lemmas where matching = 'corrected' and len(words) > 0
),

texts as (
    select
        source,
        part,
        sample_id,
        fold_words(caption) as folded,
        -- the caption up to the end of its last word, in pieces: each a word as written, and what stands before it
        regexp_extract_all(
            blank_signs(blank_entities(caption)), '[^\pL\pN]*[\pL\pN][\pL\pM\pN' || ignored() || ']*'
        ) as pieces,
    from pairs
),

places as (
    select source, sample_id, folded, unnest(range(1, len(folded) + 1)) as first_word from texts
),

rows_of_words as (
    select source, sample_id, first_word, first_word + length - 1 as last_word, folded[first_word:last_word] as words
    from places
    cross join (select distinct length from readings)
    where last_word <= len(folded)
),

occurrences as (
    select source, sample_id, first_word, last_word, words
    from rows_of_words
    semi join readings using (words)
),

-- of occurrences inside one another the longest counts
longest as (
    select *
    from occurrences as o
    where not exists (
        from occurrences as other
        where other.source = o.source
            and other.sample_id = o.sample_id
            and other.first_word <= o.first_word
            and other.last_word >= o.last_word
            and len(other.words) > len(o.words)
    )
),

-- the first of each reading, where its lemmas stand for a class
corrected as (
    select
        'corrected' as matching,
        source,
        part,
        sample_id,
        lemma,
        wnid,
        length(array_to_string(pieces[:first_word - 1], '')) + length(regexp_extract(pieces[first_word], '^[^\pL\pN]*'))
            as char_offset,
        length(regexp_replace(array_to_string(pieces[:last_word], ''), '[' || ignored() || ']+$', '')) - char_offset
            as char_length,
    from (select source, sample_id, words, min(first_word) as first_word, min(last_word) as last_word from longest group by all)
    join texts using (source, sample_id)
    join lemmas using (words)
    where matching = 'corrected'
),

matches as (
    select * from paper
    union all by name
    select * from corrected
),

final as (
    select * replace (char_offset::integer as char_offset, char_length::integer as char_length) from matches
)

select * from final
