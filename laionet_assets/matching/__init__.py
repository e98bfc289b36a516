"""Where lemmas occur in captions: the two matching profiles over whole batches of captions.

Here: captions laid out as one text (`texts`), what each code point is (`alphabet`), and the two matchers (`matchers`),
each with an Aho-Corasick automaton of all that it looks for. Not here: what a word is (the SQL macro `fold_words` says
it, and the alphabet asks), which lemma stands for which class (`staging.lemmas`), and where rows come from and go to
(`assets.matching`).
"""

from laionet_assets.matching.alphabet import Alphabet, AlphabetError, FoldWords
from laionet_assets.matching.matchers import CorrectedMatcher, Matcher, Occurrences, PaperMatcher
from laionet_assets.matching.texts import regrouped

__all__ = [
    "Alphabet",
    "AlphabetError",
    "CorrectedMatcher",
    "FoldWords",
    "Matcher",
    "Occurrences",
    "PaperMatcher",
    "regrouped",
]
