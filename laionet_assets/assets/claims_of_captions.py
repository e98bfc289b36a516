"""Stage marts, claims about captions: C8, of the captions of an image set, and C9, of the pictures of the nearest ones.

Belongs here: which rows of which tables they are judged by, and what lacks where one cannot be. Does not belong here:
when a claim holds (`stats.claims`), the other claims (`claims`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from laionet_assets.assets.alikeness import PROFILES, class_means, pairs_of_sets
from laionet_assets.assets.set_captions import ranked_captions
from laionet_assets.assets.steps import Work

if TYPE_CHECKING:
    from laionet_assets.stats.claims import ClaimRow

_NO_CAPTIONS = "captions of an image set (image_sets[].captions in laionet.yaml)"
_NO_NEIGHBOURS = "a search for the captions nearest to those of an image set (neighbours in laionet.yaml)"
_NO_PICTURES = "image_encoders in laionet.yaml, and classes of two pictures in the image set and of nearest captions"
_MENDED_RANK = {"corrected": ("false classes alone in the share", "captions of unlisted classes left out"), "paper": ()}
_MENDED_NEAREST = {
    "corrected": ("one of each group of duplicates", "interval over images, not over pairs"),
    "paper": (),
}


def claims_of_captions(work: Work, data: str) -> "Iterator[ClaimRow]":
    """C8, of every profile, text encoder and image set with captions; C9, of every profile and image encoder."""
    yield from _ranks(work, data)
    yield from _nearest(work, data)


def _ranks(work: Work, data: str) -> "Iterator[ClaimRow]":
    from laionet_assets.stats.claims import Subject, paper

    is_there = False
    for key, own, share, wnids in ranked_captions(work):
        is_there = True
        profile = key["profile"]
        subject = Subject(None, key["image_set"], key["encoder"], profile, data, _MENDED_RANK[profile])
        yield paper.c8(subject, own, share, wnids)
    if not is_there:
        yield paper.c8(Subject(None, None, None, "corrected", data), None, None, None, missing=_NO_CAPTIONS)


def _nearest(work: Work, data: str) -> "Iterator[ClaimRow]":
    """Pictures of the nearest captions beside those of the image set whose captions were looked for."""
    from laionet_assets.stats.claims import Subject, paper
    from laionet_assets.stats.comparison import compare

    searches = work.connection.execute("select image_set, captions_of from raw.neighbours").fetchall()
    if not searches:
        yield paper.c9(Subject(None, None, None, "corrected", data), None, missing=_NO_NEIGHBOURS)
    judged = set()
    for key, one, other in pairs_of_sets(work):
        if (key["image_set"], key["other_image_set"]) not in searches:
            continue
        profile = key["profile"]
        sides = (class_means(profile, side, is_distinct=profile == "corrected") for side in (one, other))
        mended = _MENDED_NEAREST[profile]
        subject = Subject(key["image_set"], key["other_image_set"], key["encoder"], profile, data, mended)
        judged.add((key["image_set"], profile))
        yield paper.c9(subject, compare(*sides))
    for image_set, captions_of in searches:
        for profile in PROFILES:
            if (image_set, profile) not in judged:
                subject = Subject(image_set, captions_of, None, profile, data)
                yield paper.c9(subject, None, missing=_NO_PICTURES)
