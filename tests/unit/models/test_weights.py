"""Where weights lie; the hub itself is asked in tests/integration/test_encoders.py."""

from pathlib import Path

import pytest

from laionet_assets.models.spec import EncoderError, bundled_folder, parse_spec
from laionet_assets.models.weights import first_line, model_folder, unreachable


def test_the_bundled_model_needs_no_hub() -> None:
    folder = model_folder(parse_spec("sentence-transformers:all-MiniLM-L6-v2", name="minilm"))
    assert folder == bundled_folder()
    assert (folder / "model.safetensors").is_file()


def test_local_weights_are_taken_as_they_are(tmp_path: Path) -> None:
    assert model_folder(parse_spec("transformers:a/b", name="x", weights=tmp_path)) == tmp_path


def test_a_file_where_a_folder_is_needed_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(EncoderError, match=r"'x' \(transformers:a/b\): weights .*model.safetensors is a file"):
        model_folder(parse_spec("transformers:a/b", name="x", weights=file))


def test_the_message_of_an_unreachable_hub_says_what_to_do() -> None:
    message = unreachable("a/b at revision c", OSError("no route\nlong story"))
    assert message.startswith("a/b at revision c is not on this machine")
    assert "no route. Without a network" in message
    assert "long story" not in message
    for way_out in ("weights: <local copy>", "HF_HUB_OFFLINE=1", "sentence-transformers:all-MiniLM-L6-v2"):
        assert way_out in message


def test_an_error_without_words_is_named_by_its_class() -> None:
    assert first_line(TimeoutError()) == "TimeoutError"
