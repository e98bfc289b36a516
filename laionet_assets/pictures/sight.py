"""What a picture looks like to models: decoded, in every way in which it looks, and ready for each of them.

The first half of a batch (`stream`): it may run in this process or in another (`processes`), and holds no model.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from laionet_assets.pictures.admission import Profile, Profiles
from laionet_assets.pictures.reading import Content, UnreadablePicture, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image

Prepare = Callable[["Image"], Any]
"""What makes a model's input of an RGB picture. An exception costs this picture alone."""


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


def refused(reason: str, models: int) -> list[Sight]:
    """A picture that cannot be read, for so many models."""
    return [Sight("both", [Refused(reason) for _ in range(models)])]


def _input(prepare: Prepare, image: "Image") -> Any:
    try:
        return prepare(image)
    except Exception as error:  # a processor that refuses one size or shape: this picture's row, not the batch
        return Refused(f"cannot be prepared: {type(error).__name__}: {error}")
