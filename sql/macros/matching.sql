-- How captions and lemmas are read before they are compared: `punctuation_to_spaces` for profile "paper", the others
-- for "corrected".

-- Each of the 32 ASCII punctuation characters becomes one space: as many characters out as in.
create macro punctuation_to_spaces(text) as regexp_replace(text, '[[:punct:]]', ' ', 'g');

-- Html entities of quotes, apostrophe, ampersand and no-break space become spaces: as many characters out as in. By
-- HTML 4's names (and apos) or by number, decimal or hexadecimal of up to four digits, in any case: one line a length.
create macro blank_entities(text) as case
    when not contains(text, '&') then text
    else regexp_replace(regexp_replace(regexp_replace(regexp_replace(text,
        '&(amp|#3[489]);', repeat(' ', 5), 'gi'),
        '&(quot|apos|nbsp|#03[489]|#1(60|71|87)|#x(2[267]|a0|ab|bb));', repeat(' ', 6), 'gi'),
        '&([lr][sda]quo|sbquo|bdquo|#003[489]|#01(60|71|87)|#82(1[678]|2[012]|49|50)|#x0(2[267]|a0|ab|bb));',
        repeat(' ', 7), 'gi'),
        '&([lr]saquo|#x00(2[267]|a0|ab|bb)|#x20(1[89acde]|39|3a));', repeat(' ', 8), 'gi')
end;

-- Words (runs of letters, marks and numbers of Unicode) in lower case, parted by one space, beginning with a word.
create macro fold(text) as
    ltrim(lower(regexp_replace(blank_entities(text), '[^\pL\pM\pN]{2,}|[^\pL\pM\pN ]', ' ', 'g')));

-- The words of a text as `fold` reads them; none where it has no letter, mark or number.
create macro fold_words(text) as list_filter(string_split(fold(text), ' '), lambda word: word <> '');

-- The text cut after each of its words, up to the last: piece i ends with word i; joined they are the text's beginning.
create macro word_pieces(text) as regexp_extract_all(blank_entities(text), '[^\pL\pM\pN]*[\pL\pM\pN]+');
