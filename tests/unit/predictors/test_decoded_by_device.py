"""A bundled classifier and an image encoder whose device decodes, here the CPU: rows like those of the exact way."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from laionet_assets.encoders.images import ImageEncoder
from laionet_assets.models import on_card
from laionet_assets.models.on_card import built_in_files
from laionet_assets.models.spec import IMAGE_ENCODER, PREDICTOR, parse_model
from laionet_assets.pictures.stream import picture_stream
from laionet_assets.predictors import load_predictor, predict_stream
from laionet_assets.predictors.predictor import predictor_identity
from tests.imagenet import CLASSES

MODEL = "timm:tf_efficientnet_lite0"


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """Files for the device, and one that is not."""
    monkeypatch.setattr(on_card, "CARD", "cpu")
    buffer = BytesIO()
    Image.open(BytesIO(built_in_files()[0].tobytes())).save(buffer, "PNG")
    return list(enumerate([*(file.tobytes() for file in built_in_files()), buffer.getvalue(), b"none"]))


def test_predictions(contents: list[tuple[int, bytes]]) -> None:
    specs = [parse_model(PREDICTOR, MODEL, name=who, decode_on=who) for who in ("cpu", "card")]
    exact, there = (load_predictor(spec, classes=CLASSES) for spec in specs)
    assert predictor_identity(specs[0]) != predictor_identity(specs[1])
    found = list(predict_stream(contents, [exact, there], k=3))
    pairs = list(zip(found[::2], found[1::2], strict=True))
    for one, other in pairs[:8]:
        assert one.ranked[0][0] == other.ranked[0][0]
        assert one.ranked[0][1] == pytest.approx(other.ranked[0][1], abs=0.03)
        assert (one.width, one.height, one.mode, one.profile) == (other.width, other.height, other.mode, other.profile)
    differ = [one.ranked != other.ranked for one, other in pairs[:8]]
    assert differ.count(True) == 6, "but for those two that are not resized"
    assert pairs[8][0].ranked == pairs[8][1].ranked
    assert pairs[9][0].error == pairs[9][1].error == "decode: not a picture of a known format"
    assert "8 of 9 pictures decoded on cpu" in there.told()
    assert "decoded" not in exact.told()


def test_vectors(contents: list[tuple[int, bytes]]) -> None:
    exact, there = (ImageEncoder(parse_model(IMAGE_ENCODER, MODEL, name=who, decode_on=who)) for who in ("cpu", "card"))
    assert exact.identity != there.identity
    looks = list(picture_stream(contents[:-1], [exact, there]))
    cosines = [float(np.dot(*look.results)) for look in looks]
    assert min(cosines) > 0.995
    assert sum(cosine < 1 - 1e-6 for cosine in cosines) == 6
    np.testing.assert_array_equal(*looks[8].results)
