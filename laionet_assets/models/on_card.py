"""JPEG files to a model's pixels on its device: decoded, resized and cropped there, where a model is told to
(`decode_on: card`).

Here: torchvision's decoder (nvJPEG on a card), the resizing that stands for Pillow's, and how far both ways agree. Not
here: which files may go this way (`pictures.admission`), and what becomes of those that the decoder does not take
(`pictures.stream`).

Only a card may be asked for, but all of it runs on any device: on a CPU torchvision decodes by libjpeg.
"""

import io
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from laionet_assets.models.preparing import Pixels, Preparation, ResizedCenter, resized_size
from laionet_assets.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

CARD = "cuda"
"""The kind of device that may be asked to decode."""
_MOST_FILES, _MOST_BYTES = 64, 16 * 2**20
"""Files that are decoded at once, and their bytes together: their pixels lie on the device until they are resized."""
_cards: "set[torch.device]" = set()
"""Those that decode in this process: one at most, because torchvision has one decoder, which it makes anew for another
card, and lets none go."""
_SIZES = ((500, 375), (375, 500), (341, 256), (1024, 683), (256, 256), (640, 427), (240, 320), (800, 600))


@dataclass(frozen=True)
class Agreement:
    """How far pixels are from those of the exact way, of 255: on average, and at most."""

    mean: float
    worst: float


class OnCard:
    """What decodes for a model: `shape` is how it sees a picture, `device` where. Used from several threads at once,
    on one stream that nothing else works on: nvJPEG has a stream of its own and waits for no other, so that it may
    write only into memory that nobody reads any more.
    """

    def __init__(self, shape: ResizedCenter, device: "torch.device") -> None:
        self.shape = shape
        self._device = device
        self._lock, self._decoding = threading.Lock(), threading.Lock()
        self._files = self._not_taken = self._exact = 0

    def pixels(self, files: Sequence[NDArray[np.uint8]]) -> "tuple[list[int], torch.Tensor]":
        """Positions of the files that could be decoded, and their pixels: uint8 of shape (files, side, side, 3), on the
        device.

        A file is its bytes, of one dimension. One that does not fit by itself is not decoded here.
        """
        import torch

        side = self.shape.side
        whole = [torch.from_numpy(file.copy()) for file in files]
        with self._decoding:  # to the last use of what was decoded: another thread's decoder gets its memory next
            parts = [self._resized(whole[start:end]) for start, end in _parts([len(file) for file in files])]
            seen = [picture for part in parts for picture in part]
            taken = [i for i, picture in enumerate(seen) if picture is not None]
            found = [picture for picture in seen if picture is not None]
            empty = torch.empty((0, side, side, 3), dtype=torch.uint8, device=self._device)
            batch = torch.stack(found) if found else empty
        with self._lock:
            self._files += len(files)
            self._not_taken += len(files) - len(taken)
        return taken, batch

    def count_exact(self, pictures: int) -> None:
        """Take note of pictures that came decoded."""
        with self._lock:
            self._exact += pictures

    def said(self) -> str:
        """How many pictures went this way, for people; empty before the first."""
        with self._lock:
            decoded, not_taken = self._files - self._not_taken, self._not_taken
            exact = self._exact  # those that were not taken come again, decoded
        if not decoded and not exact:
            return ""
        others = f", of {exact:,} others its decoder refused {not_taken:,}" if exact else ""
        return f"{decoded:,} of {decoded + exact:,} pictures decoded on {self._device}{others}"

    def _resized(self, files: "list[torch.Tensor]") -> "list[torch.Tensor | None]":
        """A picture of each file, as the model sees it; None where the decoder does not take it, or memory is short."""
        self._wait()
        try:
            return [resized(picture, self.shape) for picture in _decode(files, self._device)]
        except RuntimeError:  # memory is short, or it says so of the whole batch, for the sake of one
            pass
        self._wait(for_decoder=True)
        if len(files) < 2:
            return [None]
        middle = len(files) // 2
        return self._resized(files[:middle]) + self._resized(files[middle:])

    def _wait(self, *, for_decoder: bool = False) -> None:
        """Until nothing is at work in memory that was let go: on this stream, `for_decoder` on the decoder's too, which
        goes on writing where it has failed.
        """
        import torch

        if self._device.type != "cuda":
            return
        if for_decoder:
            torch.cuda.synchronize(self._device)
        else:
            torch.cuda.current_stream(self._device).synchronize()


def on_card(spec: ModelSpec, device: "torch.device", prepare: Preparation) -> OnCard | None:
    """What decodes for a model; None unless its spec asks for it.

    Raises ModelError where its device is no card, or another one than that which decodes for other models, and for a
    model that sees pictures otherwise than by the resized middle.
    """
    if spec.decode_on != "card":
        return None
    if device.type != CARD:
        raise spec.error(
            f"decode_on: card needs a CUDA device, and this model computes on {device}; take decode_on away, or set "
            "device: cuda on a machine that has one"
        )
    shape = prepare.pixels.shape if isinstance(prepare.pixels, Pixels) else None
    if not isinstance(shape, ResizedCenter):
        raise spec.error(
            "decode_on: card knows models that see the middle of a picture resized by its shorter side (most of timm "
            "and open_clip); this one prepares pictures in another way. Take decode_on away"
        )
    if shape.side > shape.short_side:
        raise spec.error(
            f"decode_on: card cuts the middle of {shape.side} pixels out of a picture resized to {shape.short_side}, "
            "and expects the middle to be no larger; take decode_on away"
        )
    if others := _cards - {device}:
        raise spec.error(
            f"decode_on: card is for one card of a process: {next(iter(others))} decodes already, and this model "
            f"computes on {device}; set one device for both, or take decode_on away"
        )
    _cards.add(device)
    return OnCard(shape, device)


def resized(picture: "torch.Tensor", shape: ResizedCenter) -> "torch.Tensor":
    """A picture, uint8 of shape (3, height, width), as a model sees it: uint8 of shape (side, side, 3).

    The filters are Pillow's, computed in float32; Pillow rounds to 8 bits once more between rows and columns.
    """
    import torch
    from PIL import Image as pillow

    height, width = picture.shape[1:]
    new_width, new_height = resized_size(width, height, shape.short_side)
    left, top = round((new_width - shape.side) / 2), round((new_height - shape.side) / 2)
    mode = "bicubic" if shape.filter == pillow.Resampling.BICUBIC else "bilinear"
    whole = torch.nn.functional.interpolate(
        picture[None].float(), (new_height, new_width), mode=mode, antialias=True, align_corners=False
    )[0]
    middle = whole[:, top : top + shape.side, left : left + shape.side]
    return middle.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)


def agreement(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> Agreement:
    """How far two arrays of pixels of one shape are apart."""
    apart = np.abs(left.astype(np.int16) - right.astype(np.int16))
    return Agreement(float(apart.mean()), float(apart.max()))


def built_in_files() -> list[NDArray[np.uint8]]:
    """Eight JPEG files, drawn: soft colours, edges and grain, with halved colour, as on the web. Always the same."""
    return [np.frombuffer(_drawn(size, seed), dtype=np.uint8) for seed, size in enumerate(_SIZES)]


def opened(file: NDArray[np.uint8]) -> "Image":
    """The picture of a file as Pillow decodes it."""
    from PIL import Image as pillow

    return pillow.open(io.BytesIO(file.tobytes())).convert("RGB")


def _decode(files: "list[torch.Tensor]", device: "torch.device") -> "list[torch.Tensor]":
    from torchvision.io import ImageReadMode, decode_jpeg

    with warnings.catch_warnings():  # torchvision 0.29 says that its decoders will go, in favour of TorchCodec
        warnings.simplefilter("ignore", DeprecationWarning)
        found: list[torch.Tensor] = decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
    return found


def _parts(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Where parts of files begin and end, in order: each within both limits, or a single file."""
    parts: list[tuple[int, int]] = []
    start = total = 0
    for i, size in enumerate(sizes):
        if i > start and (i - start >= _MOST_FILES or total + size > _MOST_BYTES):
            parts.append((start, i))
            start, total = i, 0
        total += size
    return [*parts, (start, len(sizes))] if sizes else []


def _drawn(size: tuple[int, int], seed: int) -> bytes:
    from PIL import Image as pillow

    noise = np.random.default_rng(seed)
    soft = pillow.fromarray(noise.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, pillow.Resampling.BICUBIC)
    pixels = np.asarray(soft).astype(np.int16) + noise.normal(0, 8, (size[1], size[0], 1)).astype(np.int16)
    pixels[size[1] // 3 : size[1] // 2, size[0] // 4 : size[0] // 2] = noise.integers(0, 256, 3)
    buffer = io.BytesIO()
    pillow.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
