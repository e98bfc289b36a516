-- How captions and lemmas are read before they are compared: `punctuation_to_spaces` for profile "paper", the others
-- for "corrected". Of what shows nothing (Unicode's default-ignorable code points) and of marks, each kind is read so:
--
-- * marks (accents, vowel signs) belong to the letter or number that they follow; behind anything else they part words
-- * what shapes or breaks a word without being part of it is ignored: soft hyphen, joiners and non-joiners, word
--   joiner, byte order mark, directions of writing, variation selectors, tags (Unicode's rule WB4 of word boundaries)
-- * the zero width space is a space
-- * signs part words: the selectors U+FE0E and U+FE0F make an emoji (or its sign in text) of what they follow, be it a
--   digit or a letter (U+2139), and an enclosing mark makes a keycap; the fillers of Hangul are letters that show a
--   blank

-- Each of the 32 ASCII punctuation characters becomes one space: as many characters out as in.
create macro punctuation_to_spaces(text) as regexp_replace(text, '[[:punct:]]', ' ', 'g');

-- Html entities of quotes, apostrophe, ampersand and no-break space become spaces: as many characters out as in. By
-- HTML 4's names (and apos) or by number, decimal or hexadecimal of up to four digits, in any case: one line a length.
create macro blank_entities(text) as case
    when not contains(text, '&') or not contains(text, ';') then text
    else regexp_replace(regexp_replace(regexp_replace(regexp_replace(text,
        '&(amp|#3[489]);', repeat(' ', 5), 'gi'),
        '&(quot|apos|nbsp|#03[489]|#1(60|71|87)|#x(2[267]|a0|ab|bb));', repeat(' ', 6), 'gi'),
        '&([lr][sda]quo|sbquo|bdquo|#003[489]|#01(60|71|87)|#82(1[678]|2[012]|49|50)|#x0(2[267]|a0|ab|bb));',
        repeat(' ', 7), 'gi'),
        '&([lr]saquo|#x00(2[267]|a0|ab|bb)|#x20(1[89acde]|39|3a));', repeat(' ', 8), 'gi')
end;

-- Signs that Unicode counts as marks or letters become spaces: as many characters out as in.
create macro blank_signs(text) as
    regexp_replace(text, '[\p{Me}\x{FE0E}\x{FE0F}\x{115F}\x{1160}\x{3164}\x{FFA0}]', ' ', 'g');

-- What is ignored inside a word, for a regular expression's brackets: the default-ignorable code points but for the
-- zero width space and the signs.
create macro ignored() as
    '\x{AD}\x{34F}\x{61C}\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{200C}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}'
    || '\x{FE00}-\x{FE0D}\x{FEFF}\x{FFF0}-\x{FFF8}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}\x{E0000}-\x{E0FFF}';

-- The words of a text, in lower case (one code point for one) and parted by one space. A word begins with a letter or
-- number of Unicode, and letters, numbers, marks and what is ignored go on with it.
create macro fold(text) as trim(lower(regexp_replace(
    regexp_replace(
        blank_signs(blank_entities(text)),
        '^[^\pL\pN]+|[^\pL\pM\pN' || ignored() || '][^\pL\pN]+|[^\pL\pM\pN ' || ignored() || ']', ' ', 'g'
    ),
    '[' || ignored() || ']', '', 'g'
)), ' ');

-- The same as a list; empty where the text has no letter or number.
create macro fold_words(text) as list_filter(string_split(fold(text), ' '), lambda word: word <> '');
