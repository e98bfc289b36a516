"""Names of models, in every role."""

from pathlib import Path

import pytest

from laionet_assets.models.spec import (
    IMAGE_ENCODER,
    PINNED_REVISIONS,
    PREDICTOR,
    RECOGNIZER,
    TEXT_ENCODER,
    ModelError,
    ModelSpec,
    Role,
    parse_model,
)

ROLES = (TEXT_ENCODER, IMAGE_ENCODER, PREDICTOR, RECOGNIZER)
MINILM = "sentence-transformers:all-MiniLM-L6-v2"


def encoder(model: str, name: str = "x", **options: object) -> ModelSpec:
    return parse_model(TEXT_ENCODER, model, name=name, **options)  # type: ignore[arg-type]


def test_a_name_has_provider_model_and_revision() -> None:
    spec = encoder("transformers:microsoft/mpnet-base@abc123", name="mpnet")
    assert spec == ModelSpec(TEXT_ENCODER, "mpnet", "transformers", "microsoft/mpnet-base", "abc123")
    assert str(spec) == "transformers:microsoft/mpnet-base@abc123"


def test_a_sentence_encoder_without_organisation_is_of_sentence_transformers() -> None:
    assert encoder("sentence-transformers:all-mpnet-base-v2").model == "sentence-transformers/all-mpnet-base-v2"
    assert encoder("sentence-transformers:intfloat/e5-small").model == "intfloat/e5-small"


def test_the_papers_encoders_are_pinned_unless_a_revision_or_weights_are_named(tmp_path: Path) -> None:
    clip = "transformers:openai/clip-vit-base-patch32"
    assert encoder(clip).revision == PINNED_REVISIONS["openai/clip-vit-base-patch32"]
    assert encoder(f"{clip}@main").revision == "main"
    assert encoder(clip, weights=tmp_path).revision is None
    assert all(len(revision) == 40 and int(revision, 16) for revision in PINNED_REVISIONS.values())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
class TestEveryRole:
    def test_what_a_message_gives_as_examples_works(self, role: Role) -> None:
        for example in (*role.examples, role.bundled):
            spec = parse_model(role, example, name="x")
            assert spec.role is role
            assert spec.error("it is ill").args == (f"{role.name} 'x' ({spec}): it is ill",)

    @pytest.mark.parametrize("text", ["", "model", ":model", "provider:", "provider:bert@", "provider:@main"])
    def test_a_malformed_name_is_told_the_form_and_examples_of_its_role(self, role: Role, text: str) -> None:
        with pytest.raises(ModelError) as error:
            parse_model(role, text, name="x")
        assert str(error.value) == (
            f"{role.name} 'x': {text!r} is not of the form provider:name[@revision], such as "
            f"{' or '.join(role.examples)}"
        )

    def test_an_unknown_provider_is_told_the_known_ones(self, role: Role) -> None:
        with pytest.raises(ModelError) as error:
            parse_model(role, "tensorflow:bert", name="x")
        assert str(error.value) == (
            f"{role.name} 'x' (tensorflow:bert): unknown provider 'tensorflow'; known are {', '.join(role.providers)}"
        )


def test_all_faults_come_in_one_message(tmp_path: Path) -> None:
    missing = tmp_path / "none.pt"
    with pytest.raises(ModelError) as error:
        encoder("nope:clip@rev", weights=missing, device="tpu", dtype="int3", allow_torchscript=True)
    for fault in (
        "unknown provider 'nope'",
        f"weights {missing} do not exist",
        "revision 'rev'",
        "'tpu'",
        "'int3'",
        "allow_torchscript has a meaning for open_clip and timm alone",
    ):
        assert fault in str(error.value)


def test_an_open_clip_architecture_needs_a_tag_or_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="open_clip:ViT-B-32/<tag>"):
        encoder("open_clip:ViT-B-32")
    weights = tmp_path / "clip.pt"
    weights.write_bytes(b"weights")
    assert encoder("open_clip:ViT-B-32", weights=weights).weights == weights


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(device: str) -> None:
    assert encoder(MINILM, device=device).device == device
