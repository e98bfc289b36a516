"""Label maps: every class of ImageNet-1k under its own wnid, or an error that names what is missing."""

from collections.abc import Sequence

import pytest

from laionet_assets.predictors.labels import LabelsUnproven, class_list, contiguous_labels, map_labels, map_outputs
from tests.imagenet import CLASSES, imagenet_1k

CRANE_BIRD, CRANE_MACHINE, HUSKY, TEDDY = "n02012849", "n03126707", "n02110185", "n04399382"
DELETED_KEYS = (9205, 15027)


def lemmas(wnids: Sequence[str]) -> list[str]:
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-21k-goog")
    return [info.label_name_to_description(wnid) for wnid in wnids]


@pytest.fixture(scope="module")
def published_22k() -> dict[int, str]:
    """id2label as the published conversions of ConvNeXt-22k and BEiT-22k made it: two labels deleted, none moved."""
    numbered = dict(enumerate(lemmas(class_list(21_843) or ())))
    return {key: label for key, label in numbered.items() if key not in DELETED_KEYS}


class TestImageNet1k:
    def test_labels_in_imagenets_order(self) -> None:
        classes = map_labels(list(imagenet_1k().values()), CLASSES)
        assert classes.wnids == tuple(imagenet_1k())
        assert classes.columns == tuple(range(1000))
        assert classes.missing == ()
        assert (classes.wnids[134], classes.wnids[517]) == (CRANE_BIRD, CRANE_MACHINE)
        assert classes.wnids[250] == HUSKY

    def test_underscores_and_wnids_count(self) -> None:
        assert map_labels([name.replace(" ", "_") for name in imagenet_1k().values()], CLASSES).columns == tuple(
            range(1000)
        )
        assert map_labels(list(imagenet_1k()), CLASSES).columns == tuple(range(1000))

    @pytest.mark.parametrize("labels", ["wnids", "lemmas"])
    def test_a_background_class_in_front(self, labels: str) -> None:
        names = list(imagenet_1k() if labels == "wnids" else imagenet_1k().values())
        classes = map_labels(["background", *names], CLASSES)
        assert classes.columns == tuple(range(1, 1001))

    def test_wnids_in_another_order(self) -> None:
        reverse = map_labels(list(imagenet_1k())[::-1], CLASSES)
        assert reverse.columns == tuple(range(999, -1, -1))

    def test_both_cranes_are_kept_apart_by_their_order_where_it_is_imagenets(self) -> None:
        names = list(imagenet_1k().values())
        padded = ["background", *names[:500], "something else", *names[500:], "more"]
        classes = map_labels(padded, CLASSES)
        column = dict(zip(classes.wnids, classes.columns, strict=True))
        assert (column[CRANE_BIRD], column[CRANE_MACHINE]) == (135, 519)
        assert padded[column[CRANE_BIRD]] == padded[column[CRANE_MACHINE]] == "crane"

    @pytest.mark.parametrize("order", ["reversed", "rotated", "by name", "one pair swapped", "cranes behind"])
    def test_lemmas_in_another_order_tell_no_crane_from_the_other(self, order: str) -> None:
        names = list(imagenet_1k().values())
        orders = {
            "reversed": names[::-1],
            "rotated": ["background", *names[500:], *names[:500]],
            "by name": sorted(names),
            "one pair swapped": [names[1], names[0], *names[2:]],
            "cranes behind": [*(name for name in names if name != "crane"), "crane", "crane"],
        }
        with pytest.raises(LabelsUnproven) as error:
            map_labels(orders[order], CLASSES)
        assert f"nothing tells {CRANE_BIRD} (crane), {CRANE_MACHINE} (crane) apart" in str(error.value)
        assert "Put wnids into id2label" in str(error.value)

    def test_another_order_is_proven_where_the_cranes_have_wnids(self) -> None:
        names = [wnid if name == "crane" else name for wnid, name in imagenet_1k().items()]
        assert map_labels(names[::-1], CLASSES).columns == tuple(range(999, -1, -1))

    def test_labels_that_name_no_class_are_an_error_that_lists_them(self) -> None:
        with pytest.raises(LabelsUnproven, match=r"1,000 of 1,000 .* not among its 1,000 labels: n01440764"):
            map_labels([f"LABEL_{i}" for i in range(1000)], CLASSES)

    def test_every_missing_class_is_named(self) -> None:
        names = list(imagenet_1k().values())
        names[134], names[0] = "crane bird", "a fish"
        with pytest.raises(LabelsUnproven) as error:
            map_labels(names, CLASSES)
        message = str(error.value)
        for missing in ("n01440764 (tench, Tinca tinca)", f"{CRANE_BIRD} (crane)", f"{CRANE_MACHINE} (crane)"):
            assert missing in message
        assert message.startswith("3 of 1,000")

    def test_a_label_too_often_is_ambiguous(self) -> None:
        with pytest.raises(LabelsUnproven, match=r"1 of 1,000 .* more than once among its 1,001 labels: n01440764"):
            map_labels([*imagenet_1k().values(), "tench, Tinca tinca"], CLASSES)


class TestImageNet21k:
    def test_the_published_labels_are_off_for_281_classes(self, published_22k: dict[int, str]) -> None:
        """docs/method.md, D2, by decoding the outputs with the published labels as they stand."""
        truth, numbered = class_list(21_841) or (), class_list(21_843) or ()
        decoded = {i: numbered[i] for i in published_22k}
        wrong = [wnid for i, wnid in enumerate(truth) if wnid in imagenet_1k() and decoded.get(i) != wnid]
        assert len(wrong) == 281
        assert max(published_22k) >= len(published_22k)

    def test_counted_anew_none_is_off(self, published_22k: dict[int, str]) -> None:
        truth = class_list(21_841) or ()
        labels, moved = contiguous_labels(published_22k, outputs=21_841)
        classes = map_labels(labels, CLASSES, moved=moved)
        assert [truth[column] for column in classes.columns] == list(classes.wnids)
        assert len(classes.wnids) == 999
        assert classes.missing == (TEDDY,)
        assert classes.moved == 21_841 - DELETED_KEYS[0]

    def test_lemma_lists_that_occur_twice_are_told_apart_by_position(self) -> None:
        hen, other_hen = "n01514859", "n01321123"
        truth = class_list(21_841) or ()
        classes = map_labels(lemmas(truth), CLASSES)
        column = dict(zip(classes.wnids, classes.columns, strict=True))
        assert lemmas([hen]) == lemmas([other_hen])
        assert truth[column[hen]] == hen

    def test_the_same_labels_in_an_unknown_order_are_ambiguous(self) -> None:
        with pytest.raises(LabelsUnproven, match=r"1 of 1,000 .* not among .*teddy.*more than once"):
            map_labels(lemmas(class_list(21_841) or ())[::-1], CLASSES)

    def test_as_many_labels_as_outputs(self, published_22k: dict[int, str]) -> None:
        with pytest.raises(LabelsUnproven, match="21,841 labels, 21,843 outputs"):
            contiguous_labels(published_22k, outputs=21_843)

    def test_keys_without_gaps_stay(self) -> None:
        assert contiguous_labels({1: "b", 0: "a"}, outputs=2) == (["a", "b"], 0)


class TestOutputsOfTimm:
    @pytest.mark.parametrize(
        ("outputs", "classes"), [(1_000, 1_000), (21_841, 999), (21_842, 1_000), (21_843, 999), (11_821, 993)]
    )
    def test_a_known_class_list(self, outputs: int, classes: int) -> None:
        found = map_outputs(outputs, CLASSES)
        table = class_list(outputs) or ()
        assert len(found.wnids) == classes
        assert len(found.missing) == 1000 - classes
        assert [table[column] for column in found.columns] == list(found.wnids)

    def test_an_unknown_class_list(self) -> None:
        with pytest.raises(LabelsUnproven, match=r"its head has 365 outputs; expected .* 1,000 \(ImageNet-1k\)"):
            map_outputs(365, CLASSES)
