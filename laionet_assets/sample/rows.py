"""Rows of the synthetic web: LAION-400M's columns around an invented caption, the picture behind the link, the truth.

Frequencies of tags, nulls and impossible values follow the real thing. What captions say is in `inventions`; files and
folders are in `web`.
"""

from dataclasses import dataclass, replace
from typing import Any

from laionet_assets.sample.captions import expected, mentioned
from laionet_assets.sample.causes import WHOLE, is_caused, is_diverse
from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.dice import Dice
from laionet_assets.sample.inventions import Invention, class_caption, long_caption, noise_caption

PART_STRIDE = 100_000_000
CLASS_SHARE = 0.4
DUPLICATE_CAPTIONS = 0.03
DUPLICATE_ROWS = 0.012
SYNDICATED_ROWS = 0.006
SYNDICATED_PAGES = 40
"""Pages that any part may list, with the same address and caption."""
HOSTS = ("images", "shop", "photos", "static", "blog", "news", "cdn2")
LIVE_DOMAIN = "web.sample.invalid"
DEAD_DOMAIN = "gone.sample.invalid"
DEAD_SHARE = 0.1
NSFW = {"UNLIKELY": 0.93, "UNSURE": 0.05, "NSFW": 0.01, None: 0.01}
TRUE_STYLES = {"web": 0.78, "curated": 0.1, "text": 0.06, "wrong": 0.06}


@dataclass(frozen=True)
class Picture:
    """What a link leads to: a style, the class it shows, and the seed of its drawing.

    Styles: curated, web, text (the name is written in it), wrong (not what the caption says), other_sense, noise, dead;
    typical (see `causes`: none at the full effect).
    """

    style: str
    depicted: str | None
    seed: int


@dataclass(frozen=True)
class Row:
    """One row: its published columns and its truth."""

    published: dict[str, Any]
    invention: Invention
    picture: Picture
    kind: str

    def truth(self, row: int, part: int) -> dict[str, Any]:
        """The row of the truth file: see `web.truth_schema`."""
        paper, corrected = expected(self.invention.caption or ())
        return {
            "row": row,
            "sample_id": row + part * PART_STRIDE,
            "kind": self.kind,
            "sense": self.invention.sense,
            "depicted": self.picture.depicted,
            "mentioned": mentioned(self.invention.caption or ()),
            "expected_paper": paper,
            "expected_corrected": corrected,
            "style": self.picture.style,
            "picture_seed": self.picture.seed,
        }


def part_rows(*, seed: int, part: int, rows: int, effect: float = WHOLE) -> list[Row]:
    """The rows of one part, decided by the four numbers alone. At least 100, so that every trap has room.

    The effect (see `causes`) decides styles of pictures and nothing else.
    """
    if rows < 100:
        raise ValueError(f"a part of the sample needs at least 100 rows, got {rows}")
    dice = Dice("laionet sample", seed, part)
    drawn: list[Row] = []
    for position in range(rows):
        drawn.append(_row(position, rows, drawn, dice, seed))
    return [replace(row, picture=_caused(row, effect)) for row in drawn]


def _row(position: int, rows: int, drawn: list[Row], dice: Dice, seed: int) -> Row:
    """One row. Three impossible values stand at fixed places of every part: they are too rare to be left to chance."""
    if position == rows // 4:
        return _published(long_caption(dice), dice)
    if position in (rows // 3, rows // 2):
        row = _published(class_caption(dice), dice)
        wrong = {"similarity": 6016.0} if position == rows // 3 else {"WIDTH": 0}
        return replace(row, published=row.published | wrong)
    if drawn and dice.chance(DUPLICATE_ROWS):
        return replace(dice.pick(drawn), kind="duplicate_row")
    if drawn and dice.chance(SYNDICATED_ROWS):
        page = Dice("laionet sample", seed, "syndicated", dice.below(SYNDICATED_PAGES))
        return replace(_published(class_caption(page), page), kind="syndicated")
    if drawn and dice.chance(DUPLICATE_CAPTIONS):
        return replace(_published(dice.pick(drawn).invention, dice), kind="duplicate_caption")
    return _published((class_caption if dice.chance(CLASS_SHARE) else noise_caption)(dice), dice)


def _published(invention: Invention, dice: Dice) -> Row:
    picture = _picture(invention, dice)
    similarity = round(max(0.28, dice.bell(0.36 if invention.sense == "true" else 0.34, 0.035)), 6)
    columns = {
        "SAMPLE_ID": dice.below(3_000_000_000_000),
        "URL": None if dice.chance(0.003) else _url(picture, dice),
        "TEXT": invention.text,
        "HEIGHT": _side(dice),
        "WIDTH": None if dice.chance(0.003) else _side(dice),
        "LICENSE": None if dice.chance(0.01) else "?",
        "NSFW": dice.weighted(NSFW),
        "similarity": None if dice.chance(0.003) else similarity,
    }
    return Row(columns, invention, picture, invention.kind)


def _picture(invention: Invention, dice: Dice) -> Picture:
    """A wrong picture shows another class, or none of them."""
    seed = dice.below(2**31)
    if dice.chance(DEAD_SHARE):
        return Picture("dead", None, seed)
    if invention.wnid is None:
        return Picture("other_sense" if invention.sense == "other" else "noise", None, seed)
    style = dice.weighted(TRUE_STYLES)
    if style != "wrong":
        return Picture(style, invention.wnid, seed)
    others = [each.wnid for each in sample_classes() if each.wnid != invention.wnid]
    return Picture(style, dice.pick(others) if dice.chance(0.5) else None, seed)


def _caused(row: Row, effect: float) -> Picture:
    """The row's picture under the causes: as diverse as its class is, or the typical drawing of what its words name."""
    picture, invention = row.picture, row.invention
    if picture.style == "dead":
        return picture
    if not is_caused(picture.seed, effect) and invention.sense != "none":
        return Picture("typical", invention.word, picture.seed)
    if picture.style == "web" and picture.depicted is not None and not is_diverse(picture.depicted, picture.seed):
        return replace(picture, style="curated")
    return picture


def _url(picture: Picture, dice: Dice) -> str:
    """An address of the synthetic web: the path is unique to the drawing, the domain tells whether anything answers."""
    domain = DEAD_DOMAIN if picture.style == "dead" else LIVE_DOMAIN
    name = f"{picture.seed:08x}{dice.below(2**24):06x}"
    query = dice.weighted({"": 0.85, "?w=640": 0.1, "?fit=300%2C300&ssl=1": 0.05})
    ending = dice.weighted({"jpg": 0.8, "png": 0.15, "jpeg": 0.05})
    return f"http://{dice.pick(HOSTS)}.{domain}/{name[:2]}/{name}.{ending}{query}"


def _side(dice: Dice) -> int:
    return int(min(6000, max(60, 500 * 2 ** dice.bell(0, 0.8))))
