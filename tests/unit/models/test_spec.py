"""Names of models and identities of their weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from laionet_assets.models.spec import PINNED_REVISIONS, EncoderError, ModelSpec, bundled_folder, identity, parse_spec

MINILM = "sentence-transformers:all-MiniLM-L6-v2"


def test_a_name_has_provider_model_and_revision() -> None:
    spec = parse_spec("transformers:microsoft/mpnet-base@abc123", name="mpnet")
    assert spec == ModelSpec("mpnet", "transformers", "microsoft/mpnet-base", "abc123")
    assert str(spec) == "transformers:microsoft/mpnet-base@abc123"


def test_a_sentence_encoder_without_organisation_is_of_sentence_transformers() -> None:
    assert parse_spec("sentence-transformers:all-mpnet-base-v2", name="m").model == (
        "sentence-transformers/all-mpnet-base-v2"
    )
    assert parse_spec("sentence-transformers:intfloat/e5-small", name="m").model == "intfloat/e5-small"


def test_the_papers_encoders_are_pinned_unless_a_revision_or_weights_are_named(tmp_path: Path) -> None:
    assert (
        parse_spec("transformers:openai/clip-vit-base-patch32", name="clip").revision
        == (PINNED_REVISIONS["openai/clip-vit-base-patch32"])
    )
    assert parse_spec("transformers:openai/clip-vit-base-patch32@main", name="clip").revision == "main"
    assert parse_spec("transformers:openai/clip-vit-base-patch32", name="clip", weights=tmp_path).revision is None
    assert all(len(revision) == 40 and int(revision, 16) for revision in PINNED_REVISIONS.values())


def test_minilm_is_bundled_only_as_it_stands(tmp_path: Path) -> None:
    assert parse_spec(MINILM, name="minilm").is_bundled
    assert parse_spec("sentence-transformers:sentence-transformers/all-MiniLM-L6-v2", name="minilm").is_bundled
    assert not parse_spec(f"{MINILM}@main", name="minilm").is_bundled
    assert not parse_spec(MINILM, name="minilm", weights=tmp_path).is_bundled
    assert not parse_spec("transformers:sentence-transformers/all-MiniLM-L6-v2", name="minilm").is_bundled


@pytest.mark.parametrize("text", ["", "minilm", ":minilm", "transformers:", "transformers:bert@", "transformers:@main"])
def test_a_malformed_name_is_told_the_form_and_examples(text: str) -> None:
    with pytest.raises(
        EncoderError, match=r"not of the form provider:name\[@revision\].*sentence-transformers:all-Min"
    ):
        parse_spec(text, name="x")


def test_an_unknown_provider_is_told_the_known_ones() -> None:
    with pytest.raises(EncoderError, match=r"'x' .*'tensorflow'.*sentence-transformers, open_clip, transformers"):
        parse_spec("tensorflow:bert", name="x")
    assert parse_spec("timm:resnet50", name="x", providers=("timm",)).provider == "timm"


def test_all_faults_come_in_one_message(tmp_path: Path) -> None:
    missing = tmp_path / "none.pt"
    with pytest.raises(EncoderError) as error:
        parse_spec("nope:clip@rev", name="x", weights=missing, device="tpu", dtype="int3")
    for fault in ("unknown provider 'nope'", f"weights {missing} do not exist", "revision 'rev'", "'tpu'", "'int3'"):
        assert fault in str(error.value)


def test_an_open_clip_architecture_needs_a_tag_or_weights(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="open_clip:ViT-B-32/<tag>"):
        parse_spec("open_clip:ViT-B-32", name="clip")
    weights = tmp_path / "clip.pt"
    weights.write_bytes(b"weights")
    assert parse_spec("open_clip:ViT-B-32", name="clip", weights=weights).weights == weights


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(device: str) -> None:
    assert parse_spec(MINILM, name="m", device=device).device == device


def test_identity_of_a_hub_model_is_its_name_and_revision() -> None:
    assert identity(parse_spec("transformers:a/b@rev", name="x")) == "transformers:a/b@rev"
    assert identity(parse_spec("transformers:a/b", name="x")) == "transformers:a/b"


def test_identity_ignores_label_and_device_but_not_a_reduced_precision() -> None:
    plain = identity(parse_spec("transformers:a/b", name="x"))
    assert identity(parse_spec("transformers:a/b", name="y", device="cuda", dtype="float32")) == plain
    assert identity(parse_spec("transformers:a/b", name="x", dtype="bfloat16")) == f"{plain}+bfloat16"


def test_identity_of_local_weights_follows_their_content(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"one")
    os.utime(weights, ns=(1, 1))
    spec = parse_spec("open_clip:ViT-B-32", name="x", weights=weights)
    first = identity(spec)
    copy = tmp_path / "copy.pt"
    copy.write_bytes(b"one")
    assert identity(parse_spec("open_clip:ViT-B-32", name="x", weights=copy)) == first
    weights.write_bytes(b"two")
    os.utime(weights, ns=(2, 2))
    assert identity(spec) != first


def test_identity_of_a_folder_follows_its_model_files_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    spec = parse_spec("transformers:a/b", name="x", weights=tmp_path)
    first = identity(spec)
    (tmp_path / "README.md").write_text("words")
    assert identity(spec) == first
    (tmp_path / "pooling").mkdir()
    (tmp_path / "pooling" / "config.json").write_text("{}")
    assert identity(spec) != first


def test_identity_of_the_bundled_model_is_that_of_the_same_files_elsewhere() -> None:
    local = parse_spec(MINILM, name="x", weights=bundled_folder())
    assert identity(parse_spec(MINILM, name="minilm")) == identity(local)


def test_specs_and_identities_import_no_heavy_library() -> None:
    program = (
        "import sys; from laionet_assets.encoders import embeddings; from laionet_assets.models import text_encoder; from laionet_assets.models.spec import *\n"
        f"identity(parse_spec({MINILM!r}, name='minilm'))\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'open_clip', 'pandas'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
