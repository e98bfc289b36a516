"""How captions are invented: a class, a sense, a template, a page's frame, and one kind of mess.

Each caption comes with its kind (which recipe or trap made it), its sense and the class that its picture belongs to.
Turning captions into rows of a file is in `web`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from laionet_assets.sample.captions import (
    Caption,
    Mention,
    mention,
    plural,
    regapped,
    rewritten,
    surrounded,
    text_of,
    title_case,
)
from laionet_assets.sample.classes import SampleClass, sample_classes, web
from laionet_assets.sample.dice import Dice

LONG_TEXT = 60_000
WEB_SITE = "n06359193"
MARKS = re.compile(r"\[([^\]]+)\]|\{(\w+)\}")
PLAIN_OR_TITLE: tuple[Callable[[str], str], ...] = (str, str, str, title_case)
"""Ways to write a caption: three in four as it is."""
KINDS = {
    "plain": 40,
    "title_case": 17,
    "upper_case": 3,
    "plural": 7,
    "file_name": 3,
    "double_space": 2.5,
    "tab": 1.5,
    "newline": 2,
    "entity": 4,
    "curly": 3,
    "non_ascii": 3,
    "several": 6,
    "foreign": 4,
    "misspelt": 3,
}
NEARNESS = {"near": 0.34, "plain": 0.3, "far": 0.36}
NOISE = {
    "noise": 0.8,
    "near_miss": 0.07,
    "other_class": 0.03,
    "foreign_noise": 0.07,
    "emoji": 0.02,
    "null_text": 0.007,
    "empty_text": 0.003,
}


@dataclass(frozen=True)
class Invention:
    """A caption and its truth: `caption` is None where the row has none; `wnid` is the class that the page is about.

    sense: true (of that class), other (the word means something else), none (no word of a class). `word`: the class
    whose word is used, in its own sense or another; None where it is no class of the sample.
    """

    kind: str
    sense: str
    wnid: str | None
    caption: Caption | None
    word: str | None = None

    @property
    def text(self) -> str | None:
        """The caption as it is published."""
        return None if self.caption is None else text_of(self.caption)


def class_caption(dice: Dice) -> Invention:
    """A caption of one of the classes, in its own sense or another."""
    one = _drawn_class(dice)
    if dice.chance(one.other):
        caption = _framed(_filled(dice.pick(one.senses), dice), dice)
        return Invention("other_sense", "other", None, rewritten(caption, dice.pick(PLAIN_OR_TITLE)), one.wnid)
    kind = dice.weighted(KINDS)
    if kind == "foreign":
        caption = _filled(dice.pick(one.foreign), dice)
    elif kind == "misspelt":
        caption = _described(one, dice, lambda: dice.pick(one.misspelt))
    elif kind == "several":
        caption = _several(_described(one, dice, lambda: _drawn(one, dice)), one, dice)
    else:
        caption = MESSES[kind](_described(one, dice, lambda: _drawn(one, dice)), dice)
    return Invention(kind, "true", one.wnid, caption, one.wnid)


def noise_caption(dice: Dice) -> Invention:
    """A caption of no class of the sample, or none at all."""
    kind = dice.weighted(NOISE)
    if kind == "null_text":
        return Invention(kind, "none", None, None)
    if kind == "empty_text":
        return Invention(kind, "none", None, ())
    templates = {"near_miss": web().near_miss, "other_class": web().other_class, "foreign_noise": web().foreign}
    caption = _filled(dice.pick(templates.get(kind, web().noise)), dice)
    if kind == "emoji":
        caption = (f"{dice.pick(web().emoji)} ", *caption, f" {dice.pick(web().emoji)}{dice.pick(web().emoji)}")
    elif kind == "noise":
        caption = rewritten(caption, dice.pick((*PLAIN_OR_TITLE, str.upper)))
    return Invention(kind, "other" if kind == "other_class" else "none", None, caption)


def long_caption(dice: Dice) -> Invention:
    """A page's whole text, more than `LONG_TEXT` characters, with one mention somewhere in it."""
    one = _drawn_class(dice)
    sentences: list[str] = []
    length = 0
    while length < LONG_TEXT:
        sentences.append(text_of(_filled(dice.pick(web().noise), dice)) + ". ")
        length += len(sentences[-1])
    cut = dice.below(len(sentences))
    caption = ("".join(sentences[:cut]), _drawn(one, dice), " " + "".join(sentences[cut:]))
    return Invention("long_text", "true", one.wnid, caption, one.wnid)


def written_caption(one: SampleClass, dice: Dice) -> dict[str, Any]:
    """What somebody wrote beside a picture of a class: title, tags and description, as ImageNet-Captions has them.

    The title is like a caption of the web, and knows as little of the picture.
    """
    title = text_of(_described(one, dice, lambda: _drawn(one, dice)))
    tags = [one.name, *(text_of(_filled(dice.pick(one.adjectives), dice)) for _ in range(dice.below(3)))]
    description = text_of(_filled(dice.pick(one.far), dice, lambda _: (_drawn(one, dice),)))
    return {"title": title, "tags": tags, "description": description if dice.chance(0.4) else ""}


def _drawn_class(dice: Dice) -> SampleClass:
    return dice.weighted({one: one.share for one in sample_classes()})


def _filled(
    template: str,
    dice: Dice,
    middle: Callable[[str], Sequence[str | Mention]] = lambda _: (),
    understood: str | None = None,
) -> Caption:
    """A template with its slots drawn; `middle` fills [*] and slots that are not vocabulary.

    Lemmas that the template names are mentions of the class `understood`, or of another sense where that is None.
    """
    parts: list[str | Mention] = []
    position = 0
    for mark in MARKS.finditer(template):
        parts.append(template[position : mark.start()])
        lemma, slot = mark.groups()
        if slot in web().slots:
            parts.extend(_filled(dice.pick(web().slots[slot]), dice))
        elif slot or lemma == "*":
            parts.extend(middle(slot or lemma))
        else:
            parts.append(mention(lemma, understood))
        position = mark.end()
    parts.append(template[position:])
    return tuple(part for part in parts if part != "")


def _drawn(one: SampleClass, dice: Dice) -> Mention:
    return mention(dice.pick(one.use), one.wnid)


def _framed(caption: Caption, dice: Dice, weight: str = "light") -> Caption:
    return _filled(dice.pick(web().frames[weight]), dice, lambda _: caption)


def _described(one: SampleClass, dice: Dice, name: Callable[[], str | Mention]) -> Caption:
    """The class near its definition, plainly, or as a detail of something else, in a page's frame."""
    nearness = dice.weighted(NEARNESS)
    if nearness == "plain":
        adjective = _filled(dice.pick(one.adjectives) + " ", dice) if dice.chance(0.7) else ()
        return _framed((*adjective, name()), dice)
    phrase = _filled(dice.pick(one.near if nearness == "near" else one.far), dice, lambda _: (name(),))
    return _framed(phrase, dice, "light" if nearness == "near" or dice.chance(0.5) else "heavy")


def _several(caption: Caption, one: SampleClass, dice: Dice) -> Caption:
    """Two or three classes in one caption: the described one and others, or a pointer to the shop's web site."""
    others = [other for other in sample_classes() if other != one]

    def middle(slot: str) -> Caption:
        return caption if slot == "caption" else (_drawn(dice.pick(others), dice),)

    return _filled(dice.pick(web().several), dice, middle, understood=WEB_SITE)


def _file_name(caption: Caption, dice: Dice) -> Caption:
    gap = dice.pick("-_")
    named = regapped(rewritten(caption, lambda text: text.replace(" ", gap)), lambda _: gap)
    return (*named, f"_{dice.below(90) + 10}.jpg")


def _double_space(caption: Caption, dice: Dice) -> Caption:
    return regapped(surrounded(caption, "", "  "), lambda gap: "  " if gap == " " else gap)


def _tab(caption: Caption, dice: Dice) -> Caption:
    if dice.chance(0.5):
        return surrounded(caption, "", "\t")
    return regapped(surrounded(caption, "\t", ""), lambda gap: "\t" if gap == " " else gap)


def _newline(caption: Caption, dice: Dice) -> Caption:
    return surrounded(caption, "", dice.pick(("\n", "\r\n", "\n\n")))


def _entity(caption: Caption, dice: Dice) -> Caption:
    mess = dice.below(4)
    if mess == 0:
        return surrounded(caption, "&quot;", "&quot;")
    if mess == 1:
        escaped = regapped(caption, lambda gap: "&nbsp;" if gap == " " else gap.replace("'", "&#39;"))
        return surrounded(escaped, "", "&nbsp;")
    if mess == 2:
        return surrounded(caption, "", "&#39;s")
    return (*caption, f" &amp; {text_of(_filled('{first}', dice))}")


def _curly(caption: Caption, dice: Dice) -> Caption:
    curled = regapped(caption, lambda gap: gap.replace("'", "\u2019"))
    marks = (("\u201c", "\u201d"), ("\u2018", "\u2019"), ("", "\u2019s"), ("", "\u2014"))
    return surrounded(curled, *dice.pick(marks))


def _non_ascii(caption: Caption, dice: Dice) -> Caption:
    emoji = dice.pick(web().emoji)
    marks = (("", emoji), (emoji, ""), ("", "™"), ("\u00a0", "\u00a0"), ("é ", " à"), ("", "\uff0c"))
    return surrounded(caption, *dice.pick(marks))


MESSES: dict[str, Callable[[Caption, Dice], Caption]] = {
    "plain": lambda caption, dice: caption,
    "title_case": lambda caption, dice: rewritten(caption, title_case),
    "upper_case": lambda caption, dice: rewritten(caption, str.upper),
    "plural": lambda caption, dice: plural(caption),
    "file_name": _file_name,
    "double_space": _double_space,
    "tab": _tab,
    "newline": _newline,
    "entity": _entity,
    "curly": _curly,
    "non_ascii": _non_ascii,
}
