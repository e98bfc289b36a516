"""What a picture looks like to models: decoded, in every way in which it looks, and ready for each of them.

The first half of a batch (`stream`): it may run in this process or in another (`processes`), and holds no model.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.pictures.admission import PROFILES, Profile, Profiles, decodes_alike
from laionet_assets.pictures.reading import Content, UnreadablePicture, bytes_of, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image

Prepare = Callable[["Image"], Any]
"""What makes a model's input of an RGB picture. An exception costs this picture alone."""


@dataclass(frozen=True)
class TakesFiles:
    """A model's `prepare` where its device decodes: files that any decoder shows alike go there as they are, as uint8
    of one dimension. `exact` makes the input of all other pictures.
    """

    exact: Prepare

    def __call__(self, image: "Image") -> Any:
        return self.exact(image)


@dataclass(frozen=True)
class Refused:
    """Why there is no result: the picture cannot be read, or a model cannot prepare it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture in one way in which it looks, with every model's input for it, or why there is none.

    `profiles`, `width`, `height` and `mode` are those of `stream.Look`.
    """

    profiles: Profiles
    inputs: list[Any]
    width: int | None = None
    height: int | None = None
    mode: str | None = None


def sights(
    content: Content, *, prepares: Sequence[Prepare], profiles: Collection[Profile], max_pixels: int
) -> list[Sight]:
    """A picture in every way in which it looks under `profiles`; its pixels are let go."""
    if any(isinstance(prepare, TakesFiles) for prepare in prepares):
        try:
            content = bytes_of(content)
        except UnreadablePicture as error:
            return refused(str(error), len(prepares))
        if (size := decodes_alike(content, max_pixels=max_pixels)) is not None:
            return [_as_file(content, size, prepares=prepares, max_pixels=max_pixels)]
    try:
        picture = read_picture(content, max_pixels=max_pixels)
    except UnreadablePicture as error:
        return refused(str(error), len(prepares))
    return [
        Sight(
            look_of,
            [_input(prepare, image) for prepare in prepares],
            picture.width,
            picture.height,
            picture.mode,
        )
        for look_of, image in picture.looks
        if look_of == "both" or look_of in profiles
    ]


def exact_input(file: NDArray[np.uint8], prepare: TakesFiles, *, max_pixels: int) -> Any:
    """A model's input for a file that its device did not decode, or why there is none."""
    (sight,) = sights(file.tobytes(), prepares=[prepare.exact], profiles=PROFILES, max_pixels=max_pixels)
    return sight.inputs[0]


def _as_file(content: bytes, size: tuple[int, int], *, prepares: Sequence[Prepare], max_pixels: int) -> Sight:
    """A file for the models that take it as it is; decoded if there are others. It looks in one way only."""
    others = [prepare for prepare in prepares if not isinstance(prepare, TakesFiles)]
    exact: Iterator[Any] = iter(())
    if others:
        (sight,) = sights(content, prepares=others, profiles=PROFILES, max_pixels=max_pixels)
        exact = iter(sight.inputs)
    file = np.frombuffer(content, dtype=np.uint8)
    inputs = [file if isinstance(prepare, TakesFiles) else next(exact) for prepare in prepares]
    return Sight("both", inputs, *size, "RGB")


def refused(reason: str, models: int) -> list[Sight]:
    """A picture that cannot be read, for so many models."""
    return [Sight("both", [Refused(reason) for _ in range(models)])]


def _input(prepare: Prepare, image: "Image") -> Any:
    try:
        return prepare(image)
    except Exception as error:  # a processor that refuses one size or shape: this picture's row, not the batch
        return Refused(f"cannot be prepared: {type(error).__name__}: {error}")
