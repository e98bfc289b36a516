"""JPEG files decoded and resized by a device, here the CPU: the same functions, another decoder than on a card."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from laionet_assets.models import on_card
from laionet_assets.models.forward import Forward
from laionet_assets.models.identity import identity
from laionet_assets.models.on_card import OnCard, agreement, built_in_files, opened
from laionet_assets.models.preparing import Pixels, Preparation, ResizedCenter, Transformed
from laionet_assets.models.spec import PREDICTOR, ModelError, parse_model

CPU = torch.device("cpu")
SHAPES = [
    ResizedCenter(256, 224, int(Image.Resampling.BICUBIC)),
    ResizedCenter(235, 224, int(Image.Resampling.BILINEAR)),
    ResizedCenter(224, 224, int(Image.Resampling.BICUBIC)),
]
SPEC = parse_model(PREDICTOR, "timm:tf_efficientnet_lite0", name="toy", decode_on="card")
PREPARE = Preparation(Pixels(SHAPES[0]), (0.5,) * 3, (0.5,) * 3)
BROKEN = np.frombuffer(b"\xff\xd8\xff" + bytes(100) + b"\xff\xd9", dtype=np.uint8)


class Means(torch.nn.Module):
    """The mean of each channel in each quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = torch.nn.AdaptiveAvgPool2d(2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.pool(pixels).flatten(1)


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Forward:
    """A model whose device decodes."""
    monkeypatch.setattr(on_card, "CARD", "cpu")
    return Forward(parse_model(PREDICTOR, "timm:tf_efficientnet_lite0", name="toy", decode_on="card"), Means(), PREPARE)


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_are_those_of_the_exact_way_up_to_rounding(shape: ResizedCenter) -> None:
    files = built_in_files()
    taken, found = OnCard(shape, CPU).pixels(files)
    exact = np.stack([np.asarray(shape(opened(file))) for file in files])
    assert taken == list(range(len(files)))
    assert found.shape == exact.shape and found.dtype == torch.uint8
    apart = agreement(exact, found.numpy())
    assert apart.mean < 0.3 and apart.worst <= 2


def test_a_shifted_picture_would_be_told() -> None:
    exact = np.stack([np.asarray(SHAPES[0](opened(file))) for file in built_in_files()])
    assert agreement(exact, np.roll(exact, 1, axis=2)).mean > 3


def test_files_that_are_not_taken_cost_themselves_and_are_counted() -> None:
    files = built_in_files()
    mixed = [files[0], BROKEN, files[1], files[2][:500], files[3], BROKEN]
    decoder = OnCard(SHAPES[0], CPU)
    taken, found = decoder.pixels(mixed)
    assert taken == [0, 2, 4]
    np.testing.assert_array_equal(found.numpy(), OnCard(SHAPES[0], CPU).pixels([files[0], files[1], files[3]])[1])
    decoder.count_exact(4)
    assert decoder.said() == "3 of 7 pictures decoded on cpu, of 4 others its decoder refused 3"


def test_no_file_that_is_taken_is_no_batch() -> None:
    taken, found = OnCard(SHAPES[0], CPU).pixels([BROKEN])
    assert taken == [] and found.shape == (0, 224, 224, 3)


def test_nothing_is_decoded_into_memory_that_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of what is done, as on a card, where nvJPEG waits for no other stream."""
    done: list[str] = []
    decode, resize, stack = on_card._decode, on_card.resized, torch.stack

    def told(what: str) -> None:
        assert decoder._decoding.locked(), what
        done.append(what)

    def decoded(files: list[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
        told("decode")
        return decode(files, device)

    def resized(picture: torch.Tensor, shape: ResizedCenter) -> torch.Tensor:
        told("resize")
        return resize(picture, shape)

    def stacked(pictures: list[torch.Tensor]) -> torch.Tensor:
        told("stack")
        return stack(pictures)

    monkeypatch.setattr(on_card, "_decode", decoded)
    monkeypatch.setattr(on_card, "resized", resized)
    monkeypatch.setattr(torch, "stack", stacked)
    monkeypatch.setattr(on_card, "_MOST_FILES", 4)
    decoder = OnCard(SHAPES[0], CPU)
    monkeypatch.setattr(
        decoder, "_wait", lambda *, for_decoder=False: told("wait for decoder" if for_decoder else "wait")
    )
    files = built_in_files()
    decoder.pixels([files[0], BROKEN, files[1], files[2], files[3]])
    one, two = ["wait", "decode", "resize"], ["wait", "decode", "resize", "resize"]
    failed = ["wait", "decode", "wait for decoder"]
    assert done == [*failed, *failed, *one, *failed, *two, *one, "stack"]


def test_a_card_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, device: torch.device) -> None:
            self.device = device

        def synchronize(self) -> None:
            waited.append(f"stream of {self.device}")

    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(f"all of {device}"))
    for device in (CPU, torch.device("cuda:1")):
        OnCard(SHAPES[0], device)._wait()
        OnCard(SHAPES[0], device)._wait(for_decoder=True)
    assert waited == ["stream of cuda:1", "all of cuda:1"]


def test_one_card_of_a_process_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_card, "_cards", set())
    first, second = torch.device("cuda:0"), torch.device("cuda:1")
    assert on_card.on_card(SPEC, first, PREPARE) is not None
    assert on_card.on_card(SPEC, first, PREPARE) is not None
    with pytest.raises(ModelError, match="cuda:0 decodes already, and this model computes on cuda:1; set one device"):
        on_card.on_card(SPEC, second, PREPARE)
    assert on_card.on_card(SPEC, first, PREPARE) is not None


def test_parts_are_within_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_card, "_MOST_FILES", 3)
    monkeypatch.setattr(on_card, "_MOST_BYTES", 10)
    assert on_card._parts([]) == []
    assert on_card._parts([1] * 7) == [(0, 3), (3, 6), (6, 7)]
    assert on_card._parts([4, 4, 4, 50, 1, 50, 9, 1, 1]) == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8), (8, 9)]


def test_outputs_of_files_are_those_of_pictures_up_to_rounding(forward: Forward) -> None:
    files = built_in_files()
    exact = [PREPARE.pixels(opened(file)) for file in files]
    assert forward.takes_files
    mixed = forward.outputs([files[0], exact[0], BROKEN, files[1], exact[1]])
    assert mixed[2] is None
    np.testing.assert_allclose(mixed[0], mixed[1], atol=2e-3)
    np.testing.assert_allclose(mixed[3], mixed[4], atol=2e-3)
    assert forward.outputs([BROKEN, BROKEN]) == [None, None]
    told = forward.told()
    assert told.startswith("cpu, float32; JPEG files are decoded on cpu: of 8 built-in pictures, pixels differ from")
    assert told.endswith("; 2 of 4 pictures decoded on cpu, of 2 others its decoder refused 3")


def test_without_a_card_it_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("here is a card")
    with pytest.raises(ModelError, match="decode_on: card needs a CUDA device, and this model computes on cpu; take"):
        Forward(SPEC, Means(), PREPARE)


def test_a_model_that_prepares_otherwise_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_card, "CARD", "cpu")
    for pixels in (Transformed(lambda image: torch.zeros(3, 4, 4)), Pixels(lambda image: image)):
        with pytest.raises(ModelError, match="decode_on: card knows models that see the middle"):
            on_card.on_card(SPEC, CPU, Preparation(pixels))


def test_a_middle_larger_than_the_picture_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_card, "CARD", "cpu")
    pixels = Pixels(ResizedCenter(200, 224, Image.Resampling.BICUBIC))
    with pytest.raises(ModelError, match="the middle of 224 pixels out of a picture resized to 200"):
        on_card.on_card(SPEC, CPU, Preparation(pixels))


def test_who_decodes_is_part_of_the_identity() -> None:
    exact = parse_model(PREDICTOR, "timm:tf_efficientnet_lite0", name="toy")
    assert identity(SPEC) == f"{identity(exact)}+decoded-on:card"


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_another_device_is_a_mistake_of_the_settings(device: str) -> None:
    with pytest.raises(ModelError, match=f"decode_on: card needs a CUDA device, and device is '{device}'"):
        parse_model(PREDICTOR, "timm:resnet50", name="a", device=device, decode_on="card")
    with pytest.raises(ModelError, match="unknown decode_on 'gpu'; known are cpu, card"):
        parse_model(PREDICTOR, "timm:resnet50", name="a", decode_on="gpu")


def test_progressive_files_and_those_without_halved_colour_are_taken() -> None:
    picture = opened(built_in_files()[0])
    files = []
    for options in ({"progressive": True}, {"subsampling": 0}, {"quality": 100}, {"restart_marker_blocks": 4}):
        buffer = BytesIO()
        picture.save(buffer, "JPEG", **options)
        files.append(np.frombuffer(buffer.getvalue(), dtype=np.uint8))
    assert OnCard(SHAPES[0], CPU).pixels(files)[0] == [0, 1, 2, 3]
