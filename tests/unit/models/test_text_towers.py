"""Text towers of sentence-transformers folders that do not say how many tokens they take, as T5's do not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from laionet_assets.models.spec import TEXT_ENCODER, ModelError, parse_model
from laionet_assets.models.text_encoder import load_text_encoder
from laionet_assets.models.weights import model_folder

LONG = "a sea lion and a lion by the sea " * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny T5 encoder with MiniLM's vocabulary: its config has no number of positions, and nothing else a limit."""
    from transformers import T5Config, T5EncoderModel

    bundled = model_folder(parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm"))
    made = tmp_path / "t5"
    made.mkdir()
    T5EncoderModel(
        T5Config(vocab_size=30_522, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, pad_token_id=0)
    ).save_pretrained(made)
    for name in ("vocab.txt", "tokenizer.json", "special_tokens_map.json", "modules.json"):
        shutil.copy(bundled / name, made / name)
    edit(made / "tokenizer.json", truncation=None, padding=None)
    (made / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizerFast", "pad_token": "[PAD]"})
    )
    shutil.copytree(bundled / "1_Pooling", made / "1_Pooling")
    edit(made / "1_Pooling" / "config.json", word_embedding_dimension=8)
    return made


def edit(path: Path, **values: object) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **values}))


def encode(folder: Path) -> np.ndarray:
    model = parse_model(TEXT_ENCODER, "sentence-transformers:tiny", name="tiny", weights=folder)
    return load_text_encoder(model).encode(["lion", LONG])


def test_without_any_limit_it_is_refused_with_what_to_do(folder: Path) -> None:
    with pytest.raises(ModelError, match="put max_seq_length into its sentence_bert_config"):
        encode(folder)


def test_the_limit_of_the_tokenizer_is_enough(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", model_max_length=16)
    short, long = encode(folder)
    assert np.linalg.norm(short) == pytest.approx(1) and np.linalg.norm(long) == pytest.approx(1)


def test_the_limit_of_the_folder_is_enough(folder: Path) -> None:
    edit(folder / "sentence_bert_config.json", max_seq_length=16)
    assert np.isfinite(encode(folder)).all()
