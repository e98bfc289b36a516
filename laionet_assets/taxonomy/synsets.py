"""Synsets of a taxonomy, from the WordNet tables that timm ships.

timm's tables hold lemmas and definitions of 21,844 synsets, equal to WordNet 3.0's; they are read as files, because
importing timm imports torch.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from laionet_assets.errors import UserError

IMAGENET_1K = "imagenet-1k"
_BUNDLED = {IMAGENET_1K: "imagenet_synsets.txt", "imagenet-21k": "imagenet21k_goog_synsets.txt"}
_LEMMAS = "imagenet_synset_to_lemma.txt"
_DEFINITIONS = "imagenet_synset_to_definition.txt"

CRANE_MACHINE = "n03126707"
"""The class that the paper's list leaves out: its one lemma, crane, is also the one lemma of the bird n02012849."""

PUBLISHED_WNIDS = {"n02110185": "n02112837"}
"""Siberian husky stands in the paper's list under a wnid that ImageNet does not have."""


class TaxonomyError(UserError):
    """The taxonomy cannot be used. The message names every wnid that is wrong."""


@dataclass(frozen=True)
class Synset:
    """One class, a row of raw.synsets.

    `position` counts from 0 in the order of the taxonomy. `class_index` is ImageNet-1k's, 0 to 999 by sorted wnid, None
    outside it. `name` is the first lemma in lower case. `paper_wnid` is the wnid in the paper's list, None outside it.
    """

    wnid: str
    position: int
    class_index: int | None
    name: str
    lemmas: tuple[str, ...]
    definition: str
    in_paper_list: bool
    paper_wnid: str | None


def load_synsets(taxonomy: str) -> list[Synset]:
    """Synsets of a taxonomy, in its order.

    `taxonomy` is imagenet-1k (1,000 classes by wnid), imagenet-21k (21,843 by wnid; of ImageNet-1k it lacks n04399382,
    teddy) or the path of a text file: one wnid a line, in the order wanted; blank lines and what follows a # are
    skipped, as is the rest of a line after white space.
    Raises TaxonomyError if the file is missing, empty or not text, or listing all wnids that are unknown or repeated.
    """
    wnids = _bundled_lines(_BUNDLED[taxonomy]) if taxonomy in _BUNDLED else _read_wnids(Path(taxonomy))
    lemmas, definitions = _bundled_map(_LEMMAS), _bundled_map(_DEFINITIONS)
    _check(wnids, known=lemmas.keys(), where=taxonomy)
    class_index = {wnid: i for i, wnid in enumerate(_bundled_lines(_BUNDLED[IMAGENET_1K]))}
    return [
        _synset(wnid, position, class_index.get(wnid), tuple(lemmas[wnid].split(", ")), definitions[wnid])
        for position, wnid in enumerate(wnids)
    ]


def other_senses(wnids: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """Of the classes whose lemmas have another sense, the others: (wnid, "name which is definition"), by wnid.

    Another sense is another of the 21,843 synsets of ImageNet-21k with an equal lemma. 275 of the
    classes of ImageNet-1k have one (docs/method.md, 23).
    """
    known, by_lemma = _every_sense()
    found = {}
    for wnid in wnids:
        lemmas = known[wnid].lemmas if wnid in known else ()
        others = sorted({other for lemma in lemmas for other in by_lemma[lemma]} - {wnid})
        if others:
            found[wnid] = [(other, f"{known[other].name} which is {known[other].definition}") for other in others]
    return found


@cache
def _every_sense() -> tuple[Mapping[str, Synset], Mapping[str, set[str]]]:
    """The synsets of ImageNet-21k and ImageNet-1k, and which of them have a lemma: read once, asked of every part."""
    known = {synset.wnid: synset for synset in (*load_synsets("imagenet-21k"), *load_synsets(IMAGENET_1K))}
    by_lemma: dict[str, set[str]] = {}
    for synset in known.values():
        for lemma in synset.lemmas:
            by_lemma.setdefault(lemma, set()).add(synset.wnid)
    return known, by_lemma


def _synset(wnid: str, position: int, class_index: int | None, lemmas: tuple[str, ...], definition: str) -> Synset:
    in_paper_list = class_index is not None and wnid != CRANE_MACHINE
    return Synset(
        wnid=wnid,
        position=position,
        class_index=class_index,
        name=lemmas[0].lower(),
        lemmas=lemmas,
        definition=definition,
        in_paper_list=in_paper_list,
        paper_wnid=PUBLISHED_WNIDS.get(wnid, wnid) if in_paper_list else None,
    )


def _read_wnids(path: Path) -> tuple[str, ...]:
    expected = f"expected {', '.join(_BUNDLED)} or a text file of wnids, one a line"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise TaxonomyError(f"taxonomy {path}: {error.strerror}; {expected}") from None
    except UnicodeDecodeError:
        raise TaxonomyError(f"taxonomy {path}: not UTF-8 text; {expected}") from None
    fields = [line.partition("#")[0].split() for line in lines]
    wnids = tuple(words[0] for words in fields if words)
    if not wnids:
        raise TaxonomyError(f"taxonomy {path}: found no wnid; {expected}")
    return wnids


def _check(wnids: Sequence[str], *, known: Collection[str], where: str) -> None:
    unknown = [wnid for wnid in dict.fromkeys(wnids) if wnid not in known]
    twice = [wnid for wnid, count in Counter(wnids).items() if count > 1]
    problems = []
    if unknown:
        problems.append(
            f"{len(unknown)} unknown: {', '.join(map(_with_hint, unknown))}; "
            "expected WordNet 3.0 noun ids of ImageNet classes, such as n02110185"
        )
    if twice:
        problems.append(f"{len(twice)} more than once: {', '.join(twice)}; expected each wnid once")
    if problems:
        raise TaxonomyError("\n".join(f"taxonomy {where}: {problem}" for problem in problems))


def _with_hint(wnid: str) -> str:
    imagenet = {published: own for own, published in PUBLISHED_WNIDS.items()}
    return f"{wnid} (in ImageNet: {imagenet[wnid]})" if wnid in imagenet else wnid


def _timm_folder() -> Path:
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise TaxonomyError("taxonomy: timm is not installed, and its WordNet tables are needed; run: pip install timm")
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "_info"


@lru_cache(maxsize=8)
def _bundled_lines(name: str) -> tuple[str, ...]:
    return tuple((_timm_folder() / name).read_text(encoding="utf-8").splitlines())


@lru_cache(maxsize=8)
def _bundled_map(name: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in _bundled_lines(name))
