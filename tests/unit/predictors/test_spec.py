"""Names of predictors and what their predictions depend on."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from laionet_assets.predictors import PredictorError, parse_predictor, predictor_identity, query_prompts


def test_a_bundled_predictor_has_its_weights_and_their_hash() -> None:
    spec = parse_predictor("timm:tf_efficientnet_lite0", name="lite0")
    assert spec.bundled_weights is not None
    digest = hashlib.sha256(spec.bundled_weights.read_bytes()).hexdigest()
    assert predictor_identity(spec) == f"timm:tf_efficientnet_lite0@sha256:{digest[:16]}+labels:1+decoding:1"


def test_other_weights_of_a_bundled_architecture_are_not_bundled(tmp_path: Path) -> None:
    weights = tmp_path / "model.pth"
    weights.write_bytes(b"x")
    spec = parse_predictor("timm:tf_efficientnet_lite0", name="lite0", weights=weights)
    assert spec.bundled_weights is None
    assert parse_predictor("timm:tf_efficientnet_lite0.in1k", name="lite0").bundled_weights is None
    assert parse_predictor("timm:tf_efficientnet_lite0@abc", name="lite0").bundled_weights is None
    assert hashlib.sha256(b"x").hexdigest()[:16] in predictor_identity(spec)


def test_names_and_devices_do_not_change_the_identity() -> None:
    one = parse_predictor("transformers:microsoft/resnet-50@abc", name="one", device="cpu")
    other = parse_predictor("transformers:microsoft/resnet-50@abc", name="other")
    assert (
        predictor_identity(one)
        == predictor_identity(other)
        == "transformers:microsoft/resnet-50@abc+labels:1+decoding:1"
    )


def test_prompts_are_part_of_the_identity() -> None:
    spec = parse_predictor("open_clip:ViT-B-32-quickgelu/openai", name="clip")
    one, other = query_prompts({"n1": "a cat"}), query_prompts({"n1": "a dog"})
    assert predictor_identity(spec, prompts=one) != predictor_identity(spec, prompts=other)
    assert predictor_identity(spec, prompts=one) == predictor_identity(spec, prompts=query_prompts({"n1": "a cat"}))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet50", "predictor 'x': 'resnet50' is not of the form provider:name"),
        ("keras:resnet50", "unknown provider 'keras'; known are timm, transformers, open_clip"),
        ("open_clip:ViT-B-32", "names no weights"),
    ],
)
def test_a_wrong_name_is_one_error_in_the_words_of_this_room(model: str, message: str) -> None:
    with pytest.raises(PredictorError) as error:
        parse_predictor(model, name="x")
    assert message in str(error.value)
    assert "encoder" not in str(error.value)
    assert "MiniLM" not in str(error.value)


def test_weights_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match=r"predictor 'x' .*weights .*none.pth do not exist"):
        parse_predictor("timm:resnet50", name="x", weights=tmp_path / "none.pth")


def test_naming_and_comparing_models_loads_no_library() -> None:
    program = (
        "import sys\n"
        "from laionet_assets import ocr, predictors\n"
        "predictors.predictor_identity(predictors.parse_predictor('timm:tf_efficientnet_lite0', name='x'))\n"
        "ocr.recognizer_identity(ocr.parse_recognizer('rapidocr:default'))\n"
        "heavy = {'torch', 'timm', 'transformers', 'open_clip', 'PIL', 'cv2', 'onnxruntime', 'rapidocr_onnxruntime'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
