"""The texts of each class for zero-shot prediction."""

import pytest

from laionet_assets.models.prompts import ClassPrompts, query_prompts, template_prompts
from tests.imagenet import imagenet_1k


def test_one_query_a_class() -> None:
    prompts = query_prompts({"n2": "b which is b", "n1": "a which is a"})
    assert prompts == ClassPrompts(("n2", "n1"), (("b which is b",), ("a which is a",)))


def test_eighty_templates_a_class_with_names_that_tell_cranes_apart() -> None:
    indices = {wnid: i for i, wnid in enumerate(imagenet_1k())}
    prompts = template_prompts(indices)
    texts = dict(zip(prompts.wnids, prompts.texts, strict=True))
    assert {len(set(of_class)) for of_class in prompts.texts} == {80}
    assert "a photo of a crane bird." in texts["n02012849"]
    assert "a photo of a construction crane." in texts["n03126707"]
    assert "itap of a Siberian Husky." in texts["n02110185"]


def test_a_subset_keeps_its_order_and_names() -> None:
    prompts = template_prompts({"n03126707": 517, "n01440764": 0})
    assert prompts.wnids == ("n03126707", "n01440764")
    assert "a bad photo of a tench." in prompts.texts[1]


def test_the_digest_covers_classes_texts_and_their_order() -> None:
    some = [
        ClassPrompts(("n1", "n2"), (("a",), ("b",))),
        ClassPrompts(("n2", "n1"), (("b",), ("a",))),
        ClassPrompts(("n1", "n2"), (("a", "b"), ("b",))),
        ClassPrompts(("n1", "n2"), (("a",), ("c",))),
    ]
    assert len({prompts.digest for prompts in some}) == len(some)


@pytest.mark.parametrize(
    ("wnids", "texts", "message"),
    [
        ((), (), "expected texts for each class"),
        (("n1", "n1"), (("a",), ("b",)), "a wnid twice"),
        (("n1", "n2"), (("a",), ()), "none for n2"),
        (("n1", "n2"), (("a",),), "2 wnids, 1 texts"),
    ],
)
def test_wrong_prompts(wnids: tuple[str, ...], texts: tuple[tuple[str, ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassPrompts(wnids, texts)
