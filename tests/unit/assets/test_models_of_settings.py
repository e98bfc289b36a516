"""Models of the settings: every key of an entry reaches the model, in its role."""

from pathlib import Path

import pytest

from laionet_assets.assets.image_text import recognizer_spec
from laionet_assets.assets.predictions import predictor_specs
from laionet_assets.assets.similarity import encoder_specs
from laionet_assets.models.spec import PREDICTOR, RECOGNIZER, TEXT_ENCODER, ModelSpec
from laionet_assets.settings import SettingsError
from tests.unit.settings.files import settings_with


def test_every_key_of_an_entry_reaches_the_model(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.touch()
    entry = {"name": "e", "model": "open_clip:ViT-B-32", "weights": "weights.pt", "device": "cuda:1"}
    found = settings_with(
        tmp_path,
        text_encoders=[entry | {"allow_torchscript": True}],
        predictors=[entry | {"allow_torchscript": True}, {"name": "p", "model": "timm:resnet50.a1_in1k"}],
        ocr={"model": "trocr:a/b", "weights": "weights.pt", "device": "mps"},
    )
    named = ("e", "open_clip", "ViT-B-32", None, weights, "cuda:1", "auto")
    assert encoder_specs(found) == [ModelSpec(TEXT_ENCODER, *named, allow_torchscript=True)]
    assert [spec for _, spec in predictor_specs(found)] == [
        ModelSpec(PREDICTOR, *named, allow_torchscript=True),
        ModelSpec(PREDICTOR, "p", "timm", "resnet50.a1_in1k"),
    ]
    assert recognizer_spec(found) == ModelSpec(RECOGNIZER, "ocr", "trocr", "a/b", None, weights, "mps")


def test_a_key_without_a_meaning_is_an_error_at_its_path(tmp_path: Path) -> None:
    found = settings_with(
        tmp_path,
        text_encoders=[
            {"name": "e", "model": "sentence-transformers:all-MiniLM-L6-v2", "allow_torchscript": True},
            {"name": "f", "model": "tensorflow:bert"},
        ],
    )
    with pytest.raises(SettingsError) as error:
        encoder_specs(found)
    first, second = str(error.value).splitlines()[1:]
    assert first.startswith(
        "  text_encoders[0].model: text encoder 'e' (sentence-transformers:all-MiniLM-L6-v2): allow_t"
    )
    assert second.startswith("  text_encoders[1].model: text encoder 'f' (tensorflow:bert): unknown provider")
