"""Real models fed by processes: the same rows, to the bit, as fed by threads. What may happen to a process:
tests/unit/pictures.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from laionet_assets.encoders.images import load_image_encoder
from laionet_assets.models.spec import IMAGE_ENCODER, PREDICTOR, parse_model
from laionet_assets.models.transformers_models import transformers_prepare
from laionet_assets.ocr import load_recognizer, parse_recognizer, recognize_stream
from laionet_assets.pictures.stream import Item, Look, picture_stream
from laionet_assets.predictors import Outcome, load_predictor, predict_stream
from tests.imagenet import CLASSES
from tests.unit.pictures.test_processes import Model

pytestmark = pytest.mark.integration

LITE = ("tf_efficientnet_lite0", "tf_efficientnet_lite1")


def noise(width: int, height: int, mode: str = "RGB") -> bytes:
    coarse = np.random.default_rng(width).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    buffer = BytesIO()
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


HANDFUL: list[Item] = [
    ("wide", noise(341, 256)),
    ("high", noise(200, 500)),
    ("grey", noise(260, 260, "L")),
    ("cmyk", noise(300, 240, "CMYK")),
    ("small", noise(30, 20)),
    ("broken", noise(400, 300)[:900]),
    ("no picture", b"<html>"),
]


def predicted(items: Sequence[Item], *, processes: bool) -> list[Outcome]:
    """By two predictors at once."""
    models = [
        load_predictor(parse_model(PREDICTOR, f"timm:{name}", name=name, device="cpu"), classes=CLASSES)
        for name in LITE
    ]
    return list(predict_stream(items, models, workers=2, processes=processes))


def embedded(items: Sequence[Item], *, processes: bool) -> list[tuple[Any, ...]]:
    encoder = load_image_encoder(parse_model(IMAGE_ENCODER, f"timm:{LITE[0]}", name="e", device="cpu"))
    return rows(picture_stream(items, [encoder], workers=2, processes=processes))


def rows(looks: Any) -> list[tuple[Any, ...]]:
    return [
        (
            look.image_id,
            look.profiles,
            look.mode,
            [r.tobytes() if isinstance(r, np.ndarray) else r for r in look.results],
        )
        for look in looks
    ]


def read(items: Sequence[Item], *, processes: bool) -> list[Any]:
    recognizer = load_recognizer(parse_recognizer("rapidocr:fast"))
    return list(recognize_stream(items, recognizer, workers=2, processes=processes))


def test_predictors() -> None:
    expected = predicted(HANDFUL, processes=False)
    assert predicted(HANDFUL, processes=True) == expected
    assert [outcome.error is None for outcome in expected].count(False) == 2 * len(LITE)


def test_image_encoders() -> None:
    assert embedded(HANDFUL, processes=True) == embedded(HANDFUL, processes=False)


def test_text_recognisers() -> None:
    expected = read(HANDFUL, processes=False)
    assert read(HANDFUL, processes=True) == expected
    assert [outcome.recognized.error is None for outcome in expected] == [True] * 5 + [False] * 2


def test_a_processor_of_transformers_is_sent_whole() -> None:
    from transformers import ViTImageProcessor

    prepare = transformers_prepare(ViTImageProcessor(size={"height": 64, "width": 64})).pixels

    def looks(*, processes: bool) -> list[Look[Any]]:
        return list(picture_stream(HANDFUL, [Model(prepare)], workers=2, processes=processes))

    found = looks(processes=True)
    assert found == looks(processes=False)
    shape, dtype, _ = found[0].results[0]
    assert (shape, dtype) == ((3, 64, 64), "<f4")


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("made", [predicted, embedded, read])
def test_photographs(real_data: Path, made: Any) -> None:
    files: list[Item] = [(path.name, path) for path in sorted((real_data / "images").glob("*/*.jpg"))]
    assert len(files) == 750
    assert made(files, processes=True) == made(files, processes=False)
