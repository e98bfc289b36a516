"""The vectors that models have for classes: a head's rows score pictures as the head does, without its bias."""

import numpy as np
import pytest

from laionet_assets.models.prompts import query_prompts
from laionet_assets.models.spec import IMAGE_ENCODER, ModelError, parse_model
from laionet_assets.predictors import ImageNetClasses
from laionet_assets.predictors.class_vectors import head_vectors, query_vectors
from laionet_assets.taxonomy import load_synsets

CLASSES = ImageNetClasses.of_rows((synset.wnid, synset.lemmas) for synset in load_synsets("imagenet-1k"))
LITE0 = parse_model(IMAGE_ENCODER, "timm:tf_efficientnet_lite0", name="lite0", device="cpu")


def test_rows_of_a_head_score_its_own_vectors() -> None:
    import torch

    from laionet_assets.encoders.images import load_image_encoder
    from laionet_assets.models.timm_models import load_timm_model

    found = head_vectors(LITE0, CLASSES)
    assert found.vectors.shape == (1000, 1280) and len(found.rows) == 1000
    model = load_timm_model(LITE0).eval()
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = (model(pixels) - model.get_classifier().bias).numpy()
        lengths = model.forward_head(model.forward_features(pixels), pre_logits=True).norm(dim=1).numpy()
    vectors = np.stack(load_image_encoder(LITE0).compute(list(pixels)))
    order = [found.rows[wnid] for wnid in CLASSES.wnids]
    np.testing.assert_allclose(vectors @ found.vectors[order].T, logits / lengths[:, None], atol=1e-4)


def test_a_kind_that_a_model_cannot_give_is_said() -> None:
    clip = parse_model(IMAGE_ENCODER, "open_clip:ViT-B-32/openai", name="clip")
    with pytest.raises(ModelError, match="no classification head"):
        head_vectors(clip, CLASSES)
    with pytest.raises(ModelError, match="no text tower"):
        query_vectors(LITE0, query_prompts({"n01440764": "tench which is a fish"}))
