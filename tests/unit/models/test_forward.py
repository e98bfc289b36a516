"""Pictures through one model: what becomes of a batch that its device does not hold."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from laionet_assets.models import on_card
from laionet_assets.models.forward import Forward
from laionet_assets.models.on_card import built_in_files
from laionet_assets.models.preparing import Pixels, Preparation, ResizedCenter
from laionet_assets.models.spec import PREDICTOR, ModelError, parse_model

SPEC = parse_model(PREDICTOR, "timm:tf_efficientnet_lite0", name="toy", device="cpu")
PREPARE = Preparation(Pixels(lambda image: image.resize((4, 3))), (0.5,) * 3, (0.5,) * 3)


class Means(torch.nn.Module):
    """The mean of each channel; its memory holds `holds` pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = 100
        self.seen: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(pixels))
        if len(pixels) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pixels.mean((2, 3))


def inputs(count: int) -> list[np.ndarray]:
    return [np.full((3, 4, 3), 10 * i, dtype=np.uint8) for i in range(count)]


def test_it_is_halved_with_the_same_outputs_and_told() -> None:
    module = Means()
    forward = Forward(SPEC, module, PREPARE)
    expected = np.stack(forward.outputs(inputs(9)))
    np.testing.assert_allclose(expected[:, 0], (np.arange(9) * 10 / 255 - 0.5) / 0.5, atol=1e-6)
    assert forward.told() == "cpu, float32"
    module.holds = 3
    np.testing.assert_array_equal(np.stack(forward.outputs(inputs(9))), expected)
    assert forward.told() == (
        "cpu, float32; predictor toy, pictures: out of memory, so that batches were halved, to 2 at most"
    )
    module.seen.clear()
    np.testing.assert_array_equal(np.stack(forward.outputs(inputs(9))), expected)
    assert max(module.seen) <= 3


def test_inputs_of_several_shapes_come_back_in_their_order() -> None:
    forward = Forward(SPEC, Means(), PREPARE)
    wide = [np.full((2, 6, 3), 10 * i, dtype=np.uint8) for i in range(3)]
    mixed = [each for pair in zip(inputs(3), wide, strict=True) for each in pair]
    found = np.stack(forward.outputs(mixed))
    np.testing.assert_allclose(found[::2], found[1::2], atol=1e-6)
    assert found[2, 0] > found[0, 0]


def test_outputs_that_are_not_finite_are_an_error() -> None:
    class Broken(Means):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels) / 0

    with pytest.raises(ModelError, match=r"weights are damaged or not whole\. Load the weights again$"):
        Forward(SPEC, Broken(), PREPARE).outputs(inputs(2))


class Streams:
    """What a card's streams are asked, with a CPU behind: `done` says it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self._lock = threading.Lock()
        self._current = threading.local()
        empty = torch.empty
        monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory=False, **kinds: empty(*shape, **kinds))
        monkeypatch.setattr(torch.cuda, "stream", self.within)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self)
        monkeypatch.setattr(torch.Tensor, "record_stream", lambda batch, stream: self.say("kept"))

    def say(self, what: str) -> None:
        with self._lock:
            self.done.append(what)

    @contextmanager
    def within(self, stream: str) -> Iterator[None]:
        self.say(stream)
        self._current.name = stream
        yield
        self._current.name = ""

    def wait_stream(self, stream: str) -> None:
        assert not getattr(self._current, "name", ""), "it is computed where other streams are not current"
        self.say(f"wait for {stream}")

    def on(self, forward: Forward) -> Forward:
        """The same model, as on a card."""
        forward._copying, forward._decoding = "copying", "decoding"
        return forward


def test_on_a_card_files_are_loaded_on_one_stream_and_pixels_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_card, "CARD", "cpu")
    spec = parse_model(PREDICTOR, "timm:tf_efficientnet_lite0", name="toy", decode_on="card")
    prepare = Preparation(Pixels(ResizedCenter(256, 224, 3)), (0.5,) * 3, (0.5,) * 3)
    forward = Forward(spec, Means(), prepare)
    files: list[np.ndarray[Any, Any]] = [*built_in_files()]
    expected = forward.outputs([*files, *inputs(3)])
    streams = Streams(monkeypatch)
    found = streams.on(forward).outputs([*files, *inputs(3)])
    np.testing.assert_array_equal(np.stack(found), np.stack(expected))
    assert streams.done == ["decoding", "wait for decoding", "kept", "copying", "wait for copying", "kept"]


def test_on_a_card_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Streams(monkeypatch).on(Forward(SPEC, Means(), PREPARE))
    expected = np.stack(forward.outputs(inputs(9)))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(forward.outputs, [inputs(9)] * 40):
            np.testing.assert_array_equal(np.stack(found), expected)


def test_a_batch_that_does_not_fit_beside_another_is_loaded_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Streams(monkeypatch).on(Forward(SPEC, Means(), PREPARE))
    expected = np.stack(forward.outputs(inputs(9)))
    loaded, turns = forward._loaded, []

    def short(*arguments: Any, **kinds: Any) -> Any:
        turns.append(forward._turn.locked())
        if not turns[-1]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loaded(*arguments, **kinds)

    monkeypatch.setattr(forward, "_loaded", short)
    np.testing.assert_array_equal(np.stack(forward.outputs(inputs(9))), expected)
    assert turns == [False, True]
