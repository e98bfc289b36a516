-- Whether the text recognised in a picture names a class: by its name alone for profile "paper", by any lemma for
-- "corrected". `tests/unit/sql/class_name_in_text.py` is the same in plain Python.

-- In lower case, punctuation as spaces, a space at both ends: how the published rule reads both sides.
create macro spaced(text) as ' ' || punctuation_to_spaces(lower(text)) || ' ';

create macro says_name(text, name) as contains(spaced(text), spaced(name));

-- Folded words, parted by one space, a space at both ends.
create macro spaced_words(text) as ' ' || array_to_string(fold_words(text), ' ') || ' ';

-- The ways in which lemmas may stand in spaced words: word by word, and run together, because recognisers lose spaces.
create macro spellings(lemmas) as list_distinct(flatten([
    [spaced_words(lemma), ' ' || array_to_string(fold_words(lemma), '') || ' ']
    for lemma in lemmas if len(fold_words(lemma)) > 0
]));

create macro says_any(words, spellings) as
    case when words is not null then len(list_filter(spellings, lambda spelling: contains(words, spelling))) > 0 end;
