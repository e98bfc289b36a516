-- sql/core/caption_matches.sql: one row per matching profile, sample and lemma found in its caption
--
-- A profile looks up the words of all captions first, then goes back to the captions of the samples found: no caption
-- is ever held once per word of it, so that memory stays small however long captions are.
with pairs as not materialized (
    select source, part, sample_id, caption from raw.pairs where caption is not null
),

lemmas as not materialized (
    select matching, wnid, lemma, words from staging.lemmas where is_matchable
),

-- profile "paper": ' lemma ' lies in ' caption ' once every ASCII punctuation character is a space
paper_texts as not materialized (
    select source, sample_id, string_split(punctuation_to_spaces(caption), ' ') as words from pairs
),

paper_words as not materialized (
    select source, sample_id, unnest(words) as word, unnest(words[2:]) as next_word from paper_texts
),

-- what may be there: the first two words are
paper_found as not materialized (
    select distinct source, sample_id, lemma, wnid,
    from paper_words
    join lemmas on word = words[1] and (len(words) = 1 or next_word = words[2])
    where matching = 'paper'
),

paper as not materialized (
    select
        'paper' as matching,
        source,
        part,
        sample_id,
        lemma,
        wnid,
        strpos(' ' || punctuation_to_spaces(caption) || ' ', ' ' || lemma || ' ') - 1 as char_offset,
        length(lemma) as char_length,
    from paper_found
    join pairs using (source, sample_id)
    where char_offset >= 0
),

-- profile "corrected": the words of the lemma are there in a row, however they are parted; of occurrences inside one
-- another the longest stays, also where its words stand for no class
readings as not materialized (
    select distinct words, len(words) as length from staging.lemmas where matching = 'corrected' and len(words) > 0
),

-- a reading of n words is n - 1 pairs of neighbours, or the one word
reading_words as not materialized (
    select
        words,
        length,
        greatest(length - 1, 1) as pairs_needed,
        unnest(words[:pairs_needed]) as word,
        unnest(words[2:]) as next_word,
        generate_subscripts(words[:pairs_needed], 1) as place,
    from readings
),

folded_texts as not materialized (
    select source, sample_id, string_split(fold(caption), ' ') as words from pairs
),

folded_words as not materialized (
    select
        source,
        sample_id,
        unnest(words) as word,
        unnest(words[2:]) as next_word,
        generate_subscripts(words, 1) as place,
    from folded_texts
),

occurrences as not materialized (
    select
        source,
        sample_id,
        r.words,
        w.place - r.place + 1 as first_word,
        first_word + r.length - 1 as last_word,
    from folded_words as w
    join reading_words as r on w.word = r.word and (r.length = 1 or w.next_word = r.next_word)
    group by all
    having count(*) = any_value(r.pairs_needed)
),

-- an occurrence that reaches no further than one that begins before it, or with it and is longer, lies inside that one
nested as not materialized (
    select
        *,
        max(last_word) over (
            partition by source, sample_id
            order by first_word, last_word desc
            rows between unbounded preceding and 1 preceding
        ) as furthest_before,
    from occurrences
),

kept as not materialized (
    select source, sample_id, words, min(first_word) as first_word, min(last_word) as last_word,
    from nested
    where furthest_before is null or last_word > furthest_before
    group by all
),

-- characters of the caption up to the end of the first word, up to the end of the last, and of the first word itself
located as not materialized (
    select
        source,
        part,
        sample_id,
        words,
        word_pieces(caption) as pieces,
        length(array_to_string(pieces[:first_word], '')) - length(words[1]) as char_offset,
        length(array_to_string(pieces[:last_word], '')) - char_offset as char_length,
    from kept
    join pairs using (source, sample_id)
),

corrected as not materialized (
    select matching, source, part, sample_id, lemma, wnid, char_offset, char_length,
    from located
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
