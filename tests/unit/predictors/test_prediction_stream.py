"""The stream over predictors: order, one row a failure, bounded look-ahead. Real models: tests/integration."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from laionet_assets.pictures.stream import Item
from laionet_assets.predictors.prediction_stream import Outcome, predict_stream
from laionet_assets.predictors.predictor import Ranked

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class NearestColour:
    """A predictor that sees the mean colour of a picture; it refuses pictures below 3 pixels."""

    batch_pictures = 4
    wnids = tuple(COLOURS)

    def __init__(self, name: str = "colour") -> None:
        self.name = self.identity = name
        self.batches: list[int] = []

    def prepare(self, image: Image.Image) -> torch.Tensor:
        if image.width < 3:
            raise ValueError("a picture below 3 pixels")
        return torch.from_numpy(np.asarray(image, dtype=np.float32).mean(axis=(0, 1)))

    def classify(self, inputs: Sequence[torch.Tensor], *, k: int = 5) -> list[Ranked]:
        self.batches.append(len(inputs))
        names, colours = list(COLOURS), torch.tensor(list(COLOURS.values()), dtype=torch.float32)
        scores = [(-(colours - mean).norm(dim=1)).tolist() for mean in inputs]
        return [sorted(zip(names, row, strict=True), key=lambda pair: -pair[1])[:k] for row in scores]

    def predict(self, images: Sequence[Image.Image], *, k: int = 5) -> list[Ranked]:
        return self.classify([self.prepare(image) for image in images], k=k)


def png(colour: str, width: int = 8, mode: str = "RGB") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, 8), COLOURS[colour]).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def items(count: int) -> list[Item]:
    return [(i, png(list(COLOURS)[i % 3])) for i in range(count)]


def best(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.ranked[0][0] for outcome in outcomes]


def turned(orientation: int) -> bytes:
    """A picture of 16 x 8 pixels that EXIF says how to hold: the stored left half is red, the right half blue."""
    image = Image.new("RGB", (16, 8), COLOURS["red"])
    image.paste(COLOURS["blue"], (8, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


class TopLeftColour(NearestColour):
    """It sees the first pixel."""

    def prepare(self, image: Image.Image) -> torch.Tensor:
        return torch.tensor(image.getpixel((0, 0)), dtype=torch.float32)


def test_a_picture_that_exif_turns_is_predicted_as_stored_and_upright() -> None:
    contents = [(0, turned(3)), (1, turned(1)), (2, png("green", mode="L")), (3, b"")]
    outcomes = list(predict_stream(contents, [TopLeftColour("a"), NearestColour("b")], k=1))
    seen = [(o.image_id, o.profile, o.ranked[0][0]) for o in outcomes if o.model == "a" and o.ranked]
    assert seen[:3] == [(0, "paper", "red"), (0, "corrected", "blue"), (1, "both", "red")]
    assert [(o.image_id, o.profile) for o in outcomes if o.model == "b"] == [
        (0, "paper"), (0, "corrected"), (1, "both"), (2, "corrected"), (3, "both")
    ]  # fmt: skip
    assert {(o.width, o.height) for o in outcomes if o.image_id == 0} == {(16, 8)}


def test_contents_may_be_called_for() -> None:
    (outcome,) = predict_stream([(0, lambda: png("blue"))], [NearestColour()])
    assert best([outcome]) == ["blue"]

    def lost() -> bytes:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(predict_stream([(0, lost)], [NearestColour()]))


def test_a_model_of_few_classes_gives_all_it_has() -> None:
    (outcome,) = predict_stream([(0, png("red"))], [NearestColour()], k=5)
    assert [wnid for wnid, _ in outcome.ranked] == ["red", "green", "blue"]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 23])
def test_outcomes_come_in_the_order_of_the_items(workers: int, count: int) -> None:
    outcomes = list(predict_stream(items(count), [NearestColour()], workers=workers))
    assert [outcome.image_id for outcome in outcomes] == list(range(count))
    assert best(outcomes) == [list(COLOURS)[i % 3] for i in range(count)]


def test_each_model_has_an_outcome_for_each_picture() -> None:
    models = [NearestColour("a"), NearestColour("b")]
    outcomes = list(predict_stream(items(5), models, k=2))
    assert [(o.image_id, o.model) for o in outcomes] == [(i, name) for i in range(5) for name in "ab"]
    assert {len(outcome.ranked) for outcome in outcomes} == {2}


def test_an_unreadable_picture_costs_its_own_rows_alone() -> None:
    content = items(8)
    content[2] = (2, content[2][1][:40])
    content[5] = (5, b"")
    outcomes = list(predict_stream(content, [NearestColour("a"), NearestColour("b")], batch_size=8))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    assert [(o.image_id, o.model) for o in failed] == [(2, "a"), (2, "b"), (5, "a"), (5, "b")]
    assert all(o.ranked == () and o.width is None and o.mode is None for o in failed)
    good = [outcome for outcome in outcomes if outcome.error is None and outcome.model == "a"]
    assert best(good) == [list(COLOURS)[i % 3] for i in (0, 1, 3, 4, 6, 7)]


def test_a_picture_that_a_model_refuses_costs_its_own_row() -> None:
    outcomes = list(predict_stream([(0, png("red", width=1)), (1, png("blue"))], [NearestColour()]))
    assert outcomes[0].error == "cannot be prepared: ValueError: a picture below 3 pixels"
    assert (outcomes[0].width, outcomes[0].height) == (1, 8)
    assert best(outcomes[1:]) == ["blue"]


def test_size_and_mode_of_the_file_are_kept() -> None:
    (outcome,) = predict_stream([(0, png("red", width=5, mode="P"))], [NearestColour()])
    assert (outcome.width, outcome.height, outcome.mode) == (5, 8, "P")
    assert best([outcome]) == ["red"]


def test_batches_have_the_size_asked_for() -> None:
    model = NearestColour()
    list(predict_stream(items(10), [model], batch_size=3, workers=1))
    assert model.batches == [3, 3, 3, 1]


def test_a_fault_of_a_model_is_raised() -> None:
    class Broken(NearestColour):
        def classify(self, inputs: Sequence[torch.Tensor], *, k: int = 5) -> list[Ranked]:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(predict_stream(items(3), [Broken()]))


def test_torch_has_its_threads_back() -> None:
    before = torch.get_num_threads()
    seen = []

    class Noting(NearestColour):
        def prepare(self, image: Image.Image) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return super().prepare(image)

    torch.set_num_threads(2)
    try:
        list(predict_stream(items(6), [Noting()], workers=2))
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_no_predictor_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        list(predict_stream(items(1), []))
