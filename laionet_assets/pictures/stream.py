"""Many pictures through several models: each decoded once, in order, while others are computed; one unreadable
picture costs its own results.

Each worker thread takes a batch through everything: read, decode, prepare, compute. The heavy parts leave Python's
lock, so that n workers keep n cores busy, without queues between stages. On a GPU the workers' forward passes take
turns, and the others decode meanwhile.

A batch has two halves (`_prepare`, `_compute`): what the first makes of the pictures is all that the second needs, so
that the first may run elsewhere, in processes, with no change to callers.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from laionet_assets.pictures.admission import MAX_PIXELS, PROFILES, Profile, Profiles
from laionet_assets.pictures.reading import Content, UnreadablePicture, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image

Item = tuple[Hashable, Content]
"""A picture's id and its content."""

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class PictureModel(Protocol[R_co]):
    """What the stream feeds: a picture to one input, a batch of inputs to one result each.

    Both functions are called from several threads at once.
    """

    @property
    def batch_pictures(self) -> int:
        """Pictures of a batch that suit the device."""
        ...

    def prepare(self, image: "Image") -> Any:
        """The input for one RGB picture. An exception costs this picture alone."""
        ...

    def compute(self, inputs: Sequence[Any]) -> Sequence[R_co]:
        """One result an input, in order. An exception ends the stream."""
        ...


@dataclass(frozen=True)
class Refused:
    """Why there is no result: the picture cannot be read, or a model cannot prepare it."""

    reason: str


@dataclass(frozen=True)
class Look(Generic[R]):
    """One way in which a picture looks, and what every model made of it (or why it made nothing), in their order.

    `width`, `height` (pixels, as stored) and `mode` (of the file, as Pillow names it: "RGB", "L", "CMYK" ...) are None
    where it could not be decoded. `profiles` is "both" where the profiles see the same, or nothing, and "corrected"
    alone where the mode had to be converted.
    """

    image_id: Hashable
    profiles: Profiles
    results: tuple[R | Refused, ...]
    width: int | None = None
    height: int | None = None
    mode: str | None = None


def picture_stream(
    items: Iterable[Item],
    models: Sequence[PictureModel[R]],
    *,
    profiles: Collection[Profile] = PROFILES,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
    set_up: Callable[[], None] | None = None,
) -> Iterator[Look[R]]:
    """What every model makes of every picture, in the order of `items`, one look for each way in which a picture looks
    under `profiles`.

    `batch_size` None is what suits every model. `items` is read in this thread, at most 2 x workers batches ahead of
    what was taken, so memory is bounded. Errors of a picture are results (`Refused`); errors of a model or of `items`
    are raised. The same items and batch size give the same results with any number of workers; each first calls
    `set_up`. Raises ValueError without a model.
    """
    if not models:
        raise ValueError("expected at least one model")
    batches = _batches(items, batch_size or min(model.batch_pictures for model in models))

    def looks(batch: list[Item]) -> list[Look[R]]:
        return _compute([_prepare(item, models, profiles, max_pixels=max_pixels) for item in batch], models)

    for batch in ordered_map(looks, batches, workers=workers, set_up=set_up):
        yield from batch


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, set_up: Callable[[], None] | None = None
) -> Iterator[R]:
    """`function` of each item, in order, computed in `workers` threads, at most 2 x workers items ahead.

    Each thread first calls `set_up`. An exception is raised where its result would have come.
    """
    pending: deque[Future[R]] = deque()
    iterator = iter(items)
    with ThreadPoolExecutor(workers, initializer=set_up) as pool:
        try:
            pending.extend(pool.submit(function, item) for item in islice(iterator, 2 * workers))
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(iterator, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()


def available_cores() -> int:
    """Cores that this process may use: a good number of workers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


_Prepared = tuple[Look[Any], list[Any]]
"""A look without results yet, and every model's input for it, or why there is none."""


def _prepare(
    item: Item, models: Sequence[PictureModel[R]], profiles: Collection[Profile], *, max_pixels: int
) -> list[_Prepared]:
    """A picture in every way in which it looks, ready for every model; its pixels are let go."""
    image_id, content = item
    try:
        picture = read_picture(content, max_pixels=max_pixels)
    except UnreadablePicture as error:
        return [(Look(image_id, "both", ()), [Refused(str(error)) for _ in models])]
    return [
        (
            Look(image_id, look_of, (), picture.width, picture.height, picture.mode),
            [_input(model, image) for model in models],
        )
        for look_of, image in picture.looks
        if look_of == "both" or look_of in profiles
    ]


def _input(model: PictureModel[R], image: "Image") -> Any:
    try:
        return model.prepare(image)
    except Exception as error:  # a processor that refuses one size or shape: this picture's row, not the batch
        return Refused(f"cannot be prepared: {type(error).__name__}: {error}")


def _compute(batch: Sequence[list[_Prepared]], models: Sequence[PictureModel[R]]) -> list[Look[R]]:
    prepared = [one for of_picture in batch for one in of_picture]
    by_model = [_results(model, [inputs[i] for _, inputs in prepared]) for i, model in enumerate(models)]
    return [replace(look, results=tuple(results)) for (look, _), *results in zip(prepared, *by_model, strict=True)]


def _results(model: PictureModel[R], inputs: Sequence[Any]) -> list[R | Refused]:
    """The model's results, with refusals where they were."""
    accepted = [one for one in inputs if not isinstance(one, Refused)]
    computed = iter(model.compute(accepted) if accepted else ())
    return [one if isinstance(one, Refused) else next(computed) for one in inputs]
