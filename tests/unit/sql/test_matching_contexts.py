"""Every lemma in every context, both profiles, against plain Python; and all checks of core.caption_matches pass.

Contexts are what stands around a lemma and inside it, and how it is written. Imagenet-1k in every run; imagenet-21k is
slow.
"""

from collections.abc import Callable, Mapping

import pytest

from laionet_assets.quality.validate import validate
from laionet_assets.taxonomy import load_synsets
from tests.unit.sql.models import database, project
from tests.unit.sql.reference import Oracle
from tests.unit.sql.test_matching import found_by_product


def _inside(lemma: str, mark: str) -> str:
    """With a mark behind its first character and before its last."""
    return f"{lemma[0]}{mark}{lemma[1:-1]}{mark}{lemma[-1]}"


CONTEXTS: Mapping[str, Callable[[str], str]] = {
    "alone": lambda lemma: lemma,
    "in a sentence": lambda lemma: f"The old {lemma} of my aunt",
    "quoted, at the end": lambda lemma: f'It is called "{lemma}".',
    "other words run into it": lambda lemma: f"un{lemma} {lemma}s",
    "between slashes": lambda lemma: f"w/{lemma}/{lemma}",
    "upper case, possessive": lambda lemma: f"{lemma.upper()}'s",
    "title, underscores": lambda lemma: f"IMG_{lemma.title().replace(' ', '_')}_1",
    "wide gaps": lambda lemma: f"\t{lemma.replace(' ', ' ' * 3)}\n",
    "hyphens and dashes": lambda lemma: f"—{lemma.replace(' ', '-')}—",
    "no gaps": lambda lemma: lemma.replace(" ", "").replace("-", ""),
    "entities": lambda lemma: f"&quot;{lemma.replace(' ', '&nbsp;')}&#8221;&amp;{lemma}&#x27;s &copy;",
    "behind an emoji": lambda lemma: f"❤\ufe0f{lemma}❤\ufe0f",
    "behind a keycap and a letter sign": lambda lemma: f"1\ufe0f\u20e3{lemma} \u2139\ufe0f{lemma}",
    "behind joined emoji and a flag": lambda lemma: f"👩\u200d🍳\u200d{lemma} 🏴\U000e0067\U000e007f{lemma}",
    "byte order mark and directions": lambda lemma: f"\ufeff{lemma}\ufeff \u200e{lemma}\u200f",
    "soft hyphens inside": lambda lemma: f"a {_inside(lemma, chr(0xAD))}\u00ad.",
    "joiners inside": lambda lemma: f"{_inside(lemma, chr(0x2060))} {_inside(lemma, chr(0x200D))}",
    "zero width spaces": lambda lemma: f"\u200b{lemma.replace(' ', chr(0x200B))}\u200b, {_inside(lemma, chr(0x200B))}",
    "blanks of Hangul": lambda lemma: f"\u3164{lemma.replace(' ', chr(0x3164))}\uffa0",
    "accents on it and before it": lambda lemma: f"{lemma}\u0301 e\u0301 {lemma} \u0301{lemma}",
    "in other scripts": lambda lemma: f"日本{lemma} 日本「{lemma}」 मेरा {lemma} ไทย{lemma}",
    "other lower case": lambda lemma: lemma.upper().replace("I", "\u0130").replace("K", "\u212a"),
    "ligatures and superscripts": lambda lemma: f"{lemma.replace('fi', chr(0xFB01))} {lemma}\u00b2",
    "twice, then inside others": lambda lemma: f"{lemma} {lemma} old {lemma} house",
    "control characters": lambda lemma: f"\0{lemma}\x1b[0m{lemma}\x7f",
}


@pytest.mark.parametrize(
    ("taxonomy", "at_once"),
    [
        ("imagenet-1k", len(CONTEXTS)),
        pytest.param("imagenet-21k", 1, marks=[pytest.mark.slow, pytest.mark.timeout(1500)]),
    ],
)
def test_every_lemma_in_every_context(taxonomy: str, at_once: int) -> None:
    synsets = load_synsets(taxonomy)
    oracle = Oracle(synsets)
    lemmas = sorted({lemma for synset in synsets for lemma in synset.lemmas})
    model = project().models["core.caption_matches"]
    written = list(CONTEXTS.values())
    with database(synsets) as db:
        for first in range(0, len(written), at_once):
            captions = [write(lemma) for write in written[first : first + at_once] for lemma in lemmas]
            for matching, matches in found_by_product(db, captions).items():
                different = [
                    (caption, found, expected)
                    for caption, found in zip(captions, matches, strict=True)
                    if found != (expected := oracle.matches(matching, caption))
                ]
                assert different == [], matching
            outcomes = validate(db.connection, model.name, model.expectations, suite=model.name)
            assert [outcome for outcome in outcomes if not outcome.passed] == []
