"""The oracle of results: correctness, recalls and accuracies in plain Python loops, as the method states them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from laionet_assets.stats.intervals import combine_recalls, wilson_se

Image = tuple[str, str]
Flags = tuple[bool | None, ...]


@dataclass(frozen=True)
class PublishedRow:
    """A row of raw.published_correctness."""

    image_set: str
    image_id: str
    wnid: str
    model: str
    is_zero_shot: bool
    is_known_to_others: bool | None
    has_name_in_text: bool | None
    flags: Flags


@dataclass(frozen=True)
class Inputs:
    """labels: classes of each image; predicted: ranked wnids of (image set, image, model), of admitted images."""

    labels: Mapping[Image, Sequence[str]]
    admitted: frozenset[Image]
    predicted: Mapping[tuple[str, str, str], Sequence[str]]
    published: Sequence[PublishedRow] = ()
    zero_shot_missing: str = "missing"
    class_lists: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def correctness(self) -> dict[tuple[str, str, str, str], Flags]:
        """(image set, image, wnid, model) -> right within the top 1 to 5."""
        found: dict[tuple[str, str, str, str], Flags] = {}
        for (image_set, image_id), wnids in self.labels.items():
            if (image_set, image_id) not in self.admitted:
                continue
            for model in {m for s, _, m in self.predicted if s == image_set}:
                ranked = self.predicted.get((image_set, image_id, model))
                flags = tuple(None if ranked is None else any(p in wnids for p in ranked[:k]) for k in range(1, 6))
                found.update({(image_set, image_id, wnid, model): flags for wnid in wnids})
        for row in self.published:
            if row.has_name_in_text is True:
                continue
            is_unseen = row.is_zero_shot and row.is_known_to_others is False and True not in row.flags
            flags = (None,) * 5 if is_unseen and self.zero_shot_missing == "missing" else row.flags
            wnid = "n02110185" if row.wnid == "n02112837" else row.wnid
            found[row.image_set, row.image_id, wnid, row.model] = flags
        return found

    def recalls(self) -> dict[tuple[str, str, int, str], tuple[int, int]]:
        """(image set, model, k, wnid) -> images with a value, right ones; classes without a value are not there."""
        found: dict[tuple[str, str, int, str], tuple[int, int]] = {}
        for (image_set, _, wnid, model), flags in self.correctness().items():
            for k, flag in enumerate(flags, start=1):
                if flag is not None:
                    n, correct = found.get((image_set, model, k, wnid), (0, 0))
                    found[image_set, model, k, wnid] = (n + 1, correct + flag)
        return found

    def accuracies(self) -> dict[tuple[str, str, int], tuple[int, int, float, float]]:
        """(image set, model, k) -> classes, images, equally weighted accuracy and its standard error."""
        found = {}
        recalls = self.recalls()
        for key in {(s, m, k) for s, m, k, _ in recalls}:
            listed = self.class_lists.get(key[0])
            counts = [recalls[each] for each in recalls if each[:3] == key and (listed is None or each[3] in listed)]
            if counts:
                accuracy, se = combine_recalls(
                    [correct / n for n, correct in counts], [wilson_se(correct, n) for n, correct in counts]
                )
                found[key] = (len(counts), sum(n for n, _ in counts), accuracy, se)
        return found
