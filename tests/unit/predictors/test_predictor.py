"""What the predictions of a predictor depend on, and what it is asked for."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from laionet_assets.models.bundled import EFFICIENTNETS
from laionet_assets.models.prompts import query_prompts
from laionet_assets.models.spec import PREDICTOR, ModelError, ModelSpec, parse_model
from laionet_assets.predictors import load_predictor, predictor_identity


def predictor(model: str, name: str = "x", **options: object) -> ModelSpec:
    return parse_model(PREDICTOR, model, name=name, **options)  # type: ignore[arg-type]


def test_the_identity_of_a_bundled_predictor_is_the_hash_of_its_weights() -> None:
    sha256 = EFFICIENTNETS["tf_efficientnet_lite0"].files[""]
    expected = f"timm:tf_efficientnet_lite0@sha256:{sha256[:16]}+labels:1+decoding:1"
    assert predictor_identity(predictor("timm:tf_efficientnet_lite0")) == expected


def test_other_weights_of_a_bundled_architecture_have_their_own(tmp_path: Path) -> None:
    weights = tmp_path / "model.pth"
    weights.write_bytes(b"x")
    spec = predictor("timm:tf_efficientnet_lite0", weights=weights)
    assert hashlib.sha256(b"x").hexdigest()[:16] in predictor_identity(spec)


def test_names_and_devices_do_not_change_the_identity() -> None:
    one = predictor("transformers:microsoft/resnet-50@abc", name="one", device="cpu")
    other = predictor("transformers:microsoft/resnet-50@abc", name="other")
    expected = "transformers:microsoft/resnet-50@abc+labels:1+decoding:1"
    assert predictor_identity(one) == predictor_identity(other) == expected


def test_the_label_of_the_code_is_part_of_the_identity() -> None:
    spec = replace(predictor("timm:tf_efficientnet_lite0"), code="abc")
    assert predictor_identity(spec).endswith("+labels:abc+decoding:abc")
    assert predictor_identity(spec, prompts=query_prompts({"n1": "a cat"})).endswith("+decoding:abc")


def test_prompts_are_part_of_the_identity() -> None:
    spec = predictor("open_clip:ViT-B-32-quickgelu/openai")
    one, other = query_prompts({"n1": "a cat"}), query_prompts({"n1": "a dog"})
    assert predictor_identity(spec, prompts=one) != predictor_identity(spec, prompts=other)
    assert predictor_identity(spec, prompts=one) == predictor_identity(spec, prompts=query_prompts({"n1": "a cat"}))


def test_a_head_is_told_by_classes_and_zero_shot_by_prompts() -> None:
    with pytest.raises(ValueError, match="needs the classes of ImageNet-1k"):
        load_predictor(predictor("timm:tf_efficientnet_lite0"))
    with pytest.raises(ModelError, match="needs prompts"):
        load_predictor(predictor("open_clip:ViT-B-32-quickgelu/openai"))


def test_naming_and_comparing_models_loads_no_library() -> None:
    program = (
        "import sys\n"
        "from laionet_assets import ocr, predictors\n"
        "from laionet_assets.models.spec import PREDICTOR, parse_model\n"
        "predictors.predictor_identity(parse_model(PREDICTOR, 'timm:tf_efficientnet_lite0', name='x'))\n"
        "ocr.recognizer_identity(ocr.parse_recognizer('rapidocr:default'))\n"
        "heavy = {'torch', 'timm', 'transformers', 'open_clip', 'PIL', 'cv2', 'onnxruntime', 'rapidocr_onnxruntime'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
