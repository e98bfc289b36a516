"""Names of text recognisers and what their text depends on."""

from importlib.metadata import version
from pathlib import Path

import pytest

from laionet_assets.models.spec import ModelError
from laionet_assets.ocr import parse_recognizer, recognizer_identity


def test_the_identity_of_rapidocr_is_its_version_and_settings() -> None:
    package = version("rapidocr-onnxruntime")
    assert recognizer_identity(parse_recognizer("rapidocr:default")) == f"rapidocr@{package}+min736+turned"
    assert recognizer_identity(parse_recognizer("rapidocr:fast", name="other")) == f"rapidocr@{package}+max640"


def test_the_identity_of_trocr_covers_its_weights_and_the_detector(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    local = recognizer_identity(parse_recognizer("trocr:mine", weights=tmp_path))
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert recognizer_identity(parse_recognizer("trocr:mine", weights=tmp_path)) != local
    hub = recognizer_identity(parse_recognizer("trocr:microsoft/trocr-base-stage1@abc"))
    assert hub.startswith("trocr:microsoft/trocr-base-stage1@abc+rapidocr@")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("rapidocr", "text recogniser 'ocr': 'rapidocr' is not of the form provider:name"),
        ("tesseract:eng", "unknown provider 'tesseract'; known are rapidocr, trocr"),
        ("rapidocr:slow", "RapidOCR has no profile 'slow'; known are default, fast"),
        ("rapidocr:fast@1.0", "name neither revision nor weights"),
    ],
)
def test_a_wrong_name_is_one_error_in_the_words_of_this_room(model: str, message: str) -> None:
    with pytest.raises(ModelError) as error:
        parse_recognizer(model)
    assert message in str(error.value)
    for foreign in ("encoder", "MiniLM", "open_clip", "bert"):
        assert foreign not in str(error.value)


def test_a_device_that_would_not_be_used_is_refused() -> None:
    with pytest.raises(ModelError, match="found device cuda, but it runs on the processor alone"):
        parse_recognizer("rapidocr:fast", device="cuda")
    assert parse_recognizer("rapidocr:fast", device="cpu").device == "cpu"
    assert parse_recognizer("trocr:microsoft/trocr-base-stage1", device="cuda:1").device == "cuda:1"
