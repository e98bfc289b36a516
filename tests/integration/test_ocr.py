"""Text recognisers with real models: RapidOCR's own, and a small TrOCR of random, saved weights."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from laionet_assets.models.spec import ModelError
from laionet_assets.ocr import TextRecognizer, load_recognizer, parse_recognizer, recognize_stream
from tests.unit.sql.class_name_in_text import class_name_in_text

pytestmark = pytest.mark.integration

WORDS = ["traffic light", "honeycomb", "Siberian husky", "espresso maker", "soccer ball", "analog clock", "envelope"]


def written(*lines: str, size: tuple[int, int] = (480, 320), pixels: int = 40) -> Image.Image:
    """Lines of text in black on a backdrop of light, soft noise."""
    noise = np.random.default_rng(len(lines[0])).integers(190, 256, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(pixels)
    for i, line in enumerate(lines):
        draw.text((30, 40 + 2 * i * pixels), line, fill="black", font=font)
    return image


def rapid(profile: str) -> TextRecognizer:
    return load_recognizer(parse_recognizer(f"rapidocr:{profile}"))


@pytest.mark.parametrize("profile", ["default", "fast"])
class TestRapidOcr:
    def test_written_words_are_read_exactly(self, profile: str) -> None:
        for words in WORDS:
            found = rapid(profile).recognize(written(words))
            assert found.text == words
            assert found.boxes == 1
            assert found.error is None
            assert 0.8 < (found.confidence or 0) <= 1

    def test_lines_are_read_from_top_to_bottom(self, profile: str) -> None:
        found = rapid(profile).recognize(written("street", "signs", "of London"))
        assert found.text == "street signs of London"
        assert found.boxes == 3

    def test_nothing_written_is_empty_text_and_no_error(self, profile: str) -> None:
        for picture in (Image.new("RGB", (320, 240), "white"), Image.new("RGB", (1, 1)), Image.new("RGB", (3000, 40))):
            found = rapid(profile).recognize(picture)
            assert (found.text, found.boxes, found.confidence, found.error) == ("", 0, None, None)

    def test_slanted_text(self, profile: str) -> None:
        picture = written("soccer ball").rotate(12, fillcolor=(220, 220, 220), resample=Image.Resampling.BICUBIC)
        assert rapid(profile).recognize(picture).text == "soccer ball"

    def test_the_same_again(self, profile: str) -> None:
        picture = written("web site", "visit us")
        assert rapid(profile).recognize(picture) == rapid(profile).recognize(picture)

    def test_the_size_that_the_detector_sees(self, profile: str) -> None:
        """The library ignores its own limit for the longest side; ours holds."""
        from laionet_assets.ocr.rapid import blue_green_red

        with rapid(profile)._engines.lend() as engine:  # type: ignore[attr-defined]
            detector = engine.text_det
        expected = {
            "default": {(340, 256): (992, 736), (1200, 900): (1216, 896)},
            "fast": {(340, 256): (352, 256), (1200, 900): (640, 480)},
        }
        for size, seen in expected[profile].items():
            pixels = blue_green_red(Image.new("RGB", size))
            height, width = detector.get_preprocess(max(size))(pixels).shape[2:]
            assert (width, height) == seen


def test_upside_down_is_read_by_default_alone() -> None:
    picture = written("golden retriever").rotate(180)
    assert rapid("default").recognize(picture).text == "golden retriever"
    assert rapid("fast").recognize(picture).text != "golden retriever"


def test_the_class_name_is_found_in_what_is_read() -> None:
    found = rapid("fast").recognize(written("SIBERIAN HUSKY", "for sale"))
    assert class_name_in_text(found.text, ["Siberian husky"], profile="paper")
    assert class_name_in_text(found.text, ["Siberian husky"], profile="corrected")
    assert not class_name_in_text(found.text, ["malamute", "Alaskan malamute"], profile="corrected")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_truncated_jpeg_among_good_ones_costs_its_row(workers: int) -> None:
    contents = []
    for words in WORDS:
        buffer = BytesIO()
        written(words).save(buffer, "JPEG", quality=90)
        contents.append(buffer.getvalue())
    contents[3] = contents[3][: len(contents[3]) // 2]
    outcomes = list(recognize_stream(list(enumerate(contents)), rapid("fast"), workers=workers))
    assert [outcome.image_id for outcome in outcomes] == list(range(len(WORDS)))
    assert [outcome.recognized.text for outcome in outcomes] == [*WORDS[:3], None, *WORDS[4:]]
    assert "truncated" in str(outcomes[3].recognized.error)


@pytest.fixture(scope="module")
def tiny_trocr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TrOCR of random weights with a tokenizer of letters, saved as transformers saves them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        TrOCRConfig,
        TrOCRForCausalLM,
        TrOCRProcessor,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessor,
        ViTModel,
    )

    folder = tmp_path_factory.mktemp("trocr")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate([*special, *"abcdefghijklmnopqrstuvwxyz"])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    torch.manual_seed(2)
    small = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    encoder = ViTModel(ViTConfig(hidden_size=16, image_size=32, patch_size=8, **small), add_pooling_layer=False)
    decoder = TrOCRForCausalLM(
        TrOCRConfig(
            vocab_size=len(vocabulary), d_model=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32,
            cross_attention_hidden_size=16, is_decoder=True, add_cross_attention=True, init_std=2.0,
        )
    )  # fmt: skip
    model = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 1, 2
    model.save_pretrained(folder)
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    TrOCRProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


class TestTrOcr:
    def test_each_box_is_read_by_the_model(self, tiny_trocr: Path) -> None:
        """Boxes are the detector's; the text is the library's own generation for the same crops."""
        import torch
        from transformers import TrOCRProcessor, VisionEncoderDecoderModel

        from laionet_assets.ocr.rapid import blue_green_red

        recognizer = load_recognizer(parse_recognizer("trocr:tiny", weights=tiny_trocr))
        picture = written("street", "signs", "of London")
        crops = recognizer._crops(blue_green_red(picture))  # type: ignore[attr-defined]
        assert len(crops) == 3
        assert all(crop.shape[1] > crop.shape[0] for crop in crops)
        model = VisionEncoderDecoderModel.from_pretrained(tiny_trocr).eval()
        processor = TrOCRProcessor.from_pretrained(tiny_trocr)
        texts = []
        for crop in crops:
            with torch.inference_mode():
                pixels = processor(images=Image.fromarray(crop), return_tensors="pt").pixel_values
                ids = model.generate(pixels, max_new_tokens=20)
            assert ids.shape[1] <= 21
            texts += processor.batch_decode(ids, skip_special_tokens=True)
        found = recognizer.recognize(picture)
        assert found.error is None
        assert found.text == " ".join(text.strip() for text in texts)
        assert len(found.text or "") > 3
        assert 0 < (found.confidence or 0) <= 1
        assert recognizer.recognize(picture) == found

    def test_nothing_written(self, tiny_trocr: Path) -> None:
        recognizer = load_recognizer(parse_recognizer("trocr:tiny", weights=tiny_trocr))
        found = recognizer.recognize(Image.new("RGB", (320, 240), "white"))
        assert (found.text, found.boxes, found.error) == ("", 0, None)

    def test_a_folder_that_is_no_trocr(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(
            ModelError, match=r"text recogniser 'ocr' .*should hold a TrOCR model of transformers, does not load"
        ):
            load_recognizer(parse_recognizer("trocr:x", weights=tmp_path))


def test_without_the_hub_trocr_is_one_clear_error(tmp_path: Path) -> None:
    program = """
from laionet_assets.models.spec import ModelError
from laionet_assets.ocr import load_recognizer, parse_recognizer
try:
    load_recognizer(parse_recognizer("trocr:microsoft/trocr-base-stage1"))
except ModelError as error:
    print(error)
"""
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.stdout.startswith(
        "text recogniser 'ocr' (trocr:microsoft/trocr-base-stage1): microsoft/trocr-base-stage1 is not on this machine"
    ), run.stderr
    assert "use the bundled model rapidocr:fast" in run.stdout


@pytest.mark.real_data
def test_photographs(real_data: Path) -> None:
    """Few of 40 photographs of 256 pixels have legible text; none is an error."""
    files = sorted((real_data / "images").glob("*/*.jpg"))[::19]
    outcomes = list(recognize_stream([(file, file) for file in files], rapid("fast")))
    assert not [outcome.recognized.error for outcome in outcomes if outcome.recognized.error]
    assert 1 <= sum(bool(outcome.recognized.text) for outcome in outcomes) < len(files) / 2
