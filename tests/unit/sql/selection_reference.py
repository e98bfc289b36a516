"""What a recipe chooses and where it drops what, in plain Python, row by row: what the SQL models are compared with.

Written from the statement of the rules (docs/images.md "Order of dropping"), not from the SQL. Nothing here is fast.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

STAGES = (
    "admitted",
    "matched",
    "single_label",
    "safe",
    "similar",
    "not_removed",
    "name_in_image",
    "image_similar",
    "distinct",
    "top_k",
)
STAGE_OF = {
    "quarantined": "admitted",
    "no_lemma": "matched",
    "several_classes": "single_label",
    "nsfw_unknown": "safe",
    "nsfw_tag": "safe",
    "punsafe": "safe",
    "no_similarity": "similar",
    "below_threshold": "similar",
    "removed": "not_removed",
    "name_in_image": "name_in_image",
    "no_image_similarity": "image_similar",
    "below_image_threshold": "image_similar",
    "duplicate": "distinct",
    "beyond_top_k": "top_k",
}
"""Reasons in the order in which they are looked for."""
FURTHEST = [*STAGE_OF, None]

Key = tuple[str, int, str]
"""Source, sample and class."""


@dataclass(frozen=True)
class Recipe:
    """A row of raw.recipes."""

    recipe: str
    matching: str
    encoder: str
    text_threshold: float
    multi_label: str
    nsfw_tags: tuple[str, ...]
    max_punsafe: float
    top_k: int | None
    drop_text_in_image: bool
    image_encoder: str | None = None
    image_kind: str | None = None
    image_threshold: float | None = None
    pictures_per_class: int | None = None
    duplicates: str = "keep"


@dataclass(frozen=True)
class Sample:
    """A caption with its picture: the classes found under each profile, and what its source says."""

    source: str
    part: str
    sample_id: int
    classes: dict[str, tuple[str, ...]]
    nsfw: str | None = None
    punsafe: float | None = None
    url: str | None = None
    caption: str = ""
    is_removed: bool = False


@dataclass(frozen=True)
class World:
    """Everything that is decided on. `names`: whether the class is named in the picture, by profile; unread without.
    `looks`: how near a picture is to the class, by encoder, kind and profile.
    """

    recipes: Sequence[Recipe]
    samples: Sequence[Sample]
    similarities: dict[tuple[str, Key], float | None] = field(default_factory=dict)
    names: dict[Key, dict[str, bool]] = field(default_factory=dict)
    looks: dict[tuple[str, str, str, Key], float] = field(default_factory=dict)
    rows: int = 0
    pairs: int = 0

    def reason_of(self, recipe: Recipe, sample: Sample, wnid: str) -> str | None:
        """The first reason to drop a class of a caption, what other rows decide (duplicates, top k) left aside."""
        key = (sample.source, sample.sample_id, wnid)
        similarity = self.similarities.get((recipe.encoder, key))
        if recipe.multi_label == "drop" and len(sample.classes[recipe.matching]) > 1:
            return "several_classes"
        if sample.nsfw is None and "UNKNOWN" not in recipe.nsfw_tags:
            return "nsfw_unknown"
        if sample.nsfw is not None and sample.nsfw not in recipe.nsfw_tags:
            return "nsfw_tag"
        if sample.punsafe is not None and sample.punsafe > recipe.max_punsafe:
            return "punsafe"
        if similarity is None:
            return "no_similarity"
        if not similarity > recipe.text_threshold:
            return "below_threshold"
        if sample.is_removed:
            return "removed"
        if recipe.drop_text_in_image and self.names.get(key, {}).get(recipe.matching):
            return "name_in_image"
        if recipe.image_threshold is not None:
            assert recipe.image_encoder and recipe.image_kind
            look = self.looks.get((recipe.image_encoder, recipe.image_kind, recipe.matching, key))
            if look is None:
                return "no_image_similarity"
            if not look > recipe.image_threshold:
                return "below_image_threshold"
        return None

    def judged(self, recipe: Recipe) -> Iterator[tuple[Sample, str, str | None]]:
        """Every candidate of a recipe, with the reason to drop it."""
        for sample in self.samples:
            for wnid in sample.classes[recipe.matching]:
                yield sample, wnid, self.reason_of(recipe, sample, wnid)

    def kept_for(self, recipe: Recipe) -> dict[tuple[str, int], tuple[str, int]]:
        """Of every sample that repeats another's address and caption: the first with both, which is kept."""
        first: dict[tuple[str, str], tuple[str, int]] = {}
        kept = {}
        passing = {(s.source, s.sample_id): s for s, _, reason in self.judged(recipe) if reason is None}
        for key, sample in sorted(passing.items()):
            if sample.url is not None:
                owner = first.setdefault((sample.url, sample.caption), key)
                if owner != key:
                    kept[key] = owner
        return kept

    def dropped_as_duplicates(self, recipe: Recipe) -> set[tuple[str, int]]:
        """Samples that the recipe drops for another with their address and caption."""
        return set(self.kept_for(recipe)) if recipe.duplicates == "drop" else set()

    def ranked(self, recipe: Recipe) -> dict[Key, int]:
        """Rank in its class of every candidate that stays; ties go to the smaller source and sample."""
        by_class = defaultdict(list)
        dropped = self.dropped_as_duplicates(recipe)
        for sample, wnid, reason in self.judged(recipe):
            if reason is None and (sample.source, sample.sample_id) not in dropped:
                key = (sample.source, sample.sample_id, wnid)
                by_class[wnid].append((-(self.similarities[recipe.encoder, key] or 0), key))
        return {key: rank for rows in by_class.values() for rank, (_, key) in enumerate(sorted(rows), start=1)}

    def laionet(self, recipe: Recipe) -> dict[Key, int]:
        """Rank of what the recipe chooses."""
        return {k: rank for k, rank in self.ranked(recipe).items() if recipe.top_k is None or rank <= recipe.top_k}

    def requests(self) -> dict[tuple[str, int], tuple[list[str], bool]]:
        """Samples whose picture is asked for: by which recipes, and whether they were removed."""
        asked = defaultdict(set)
        removed = {(each.source, each.sample_id): each.is_removed for each in self.samples}
        for recipe in self.recipes:
            places = defaultdict(list)
            needs_pictures = recipe.drop_text_in_image or recipe.image_threshold is not None
            everything = recipe.top_k is None or needs_pictures
            looking = [
                each
                for each in self.judged(recipe)
                if each[2] is None or STAGES.index(STAGE_OF[each[2]]) > STAGES.index("similar")
            ]
            first_of: dict[tuple[str, ...], int] = {}
            for sample, _, reason in looking:
                if reason != "removed" and sample.url is not None:
                    copies = (sample.source, sample.part, sample.url, sample.caption)
                    first_of[copies] = min(sample.sample_id, first_of.get(copies, sample.sample_id))
            for sample, wnid, reason in looking:
                copies = (sample.source, sample.part, sample.url or "", sample.caption)
                is_copy = reason != "removed" and first_of.get(copies, sample.sample_id) < sample.sample_id
                if needs_pictures or recipe.duplicates == "keep" or not is_copy:
                    key = (sample.source, sample.sample_id, wnid)
                    order = (-(self.similarities[recipe.encoder, key] or 0), sample.sample_id)
                    places[sample.source, sample.part, wnid, sample.is_removed].append((order, key))
            for rows in places.values():
                first = sorted(rows)[: None if everything else recipe.top_k]
                draw = sorted(rows, key=lambda row: drawn_by("picture", row[1]))[: recipe.pictures_per_class]
                for row in first:
                    if row in draw:
                        asked[row[1][:2]].add(recipe.recipe)
        return {key: (sorted(recipes), removed[key]) for key, recipes in asked.items()}

    def funnel(self, recipe: Recipe) -> set[tuple[str, str, int, int, tuple[tuple[str, int], ...]]]:
        """Class, stage, rows in, rows out, dropped rows by reason."""
        chosen, duplicates = self.laionet(recipe), self.dropped_as_duplicates(recipe)
        reasons: dict[str, Counter[str | None]] = defaultdict(Counter)
        of_samples: dict[tuple[str, int], list[str | None]] = defaultdict(list)
        for sample, wnid, reason in self.judged(recipe):
            key = (sample.source, sample.sample_id, wnid)
            last = reason
            if reason is None and key not in chosen:
                last = "duplicate" if key[:2] in duplicates else "beyond_top_k"
            reasons[wnid][last] += 1
            of_samples[key[:2]].append(last)
        reasons["*"] = Counter(max(found, key=FURTHEST.index) for found in of_samples.values())
        reasons["*"]["quarantined"] = self.rows - self.pairs
        reasons["*"]["no_lemma"] = self.pairs - len(of_samples)
        found = set()
        for wnid, counts in reasons.items():
            left = counts.total()
            if not left:
                continue
            for stage in STAGES if wnid == "*" else STAGES[2:]:
                dropped = {why: n for why, n in counts.items() if why is not None and STAGE_OF[why] == stage and n}
                found.add((wnid, stage, left, left - sum(dropped.values()), tuple(sorted(dropped.items()))))
                left -= sum(dropped.values())
        return found

    def sweep(self, encoder: str, matching: str, threshold: float) -> tuple[int, int, int, int]:
        """Rows and classes of single-label captions above a threshold, and those of them that are safe."""
        mine = [r for r in self.recipes if (r.encoder, r.matching) == (encoder, matching)]
        rules = mine or list(self.recipes)
        rows, safe = [], []
        for sample in self.samples:
            if len(sample.classes[matching]) != 1:
                continue
            (wnid,) = sample.classes[matching]
            similarity = self.similarities.get((encoder, (sample.source, sample.sample_id, wnid)))
            if similarity is not None and similarity > threshold:
                rows.append(wnid)
                if all(
                    (sample.nsfw or "UNKNOWN") in rule.nsfw_tags and (sample.punsafe or 0) <= rule.max_punsafe
                    for rule in rules
                ):
                    safe.append(wnid)
        return len(rows), len(set(rows)), len(safe), len(set(safe))


def drawn_by(purpose: str, key: Key) -> str:
    """What a seeded draw of samples goes by."""
    return hashlib.md5(f"20230627/{purpose}/{key[0]}/{key[1]}".encode(), usedforsecurity=False).hexdigest()
