"""Many pictures through several models: each decoded once, in order, while others are predicted; one unreadable
picture costs its own rows.

A picture that the two profiles of admission see differently (turned by EXIF, transparent) is predicted both ways.

Each worker thread takes a batch through everything: read, decode, prepare, predict. The heavy parts leave Python's
lock, so that n workers keep n cores busy, without queues between stages. On a GPU the workers' forward passes take
turns, and the others decode meanwhile.
"""

import os
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from laionet_assets.predictors.pictures import MAX_PIXELS, Content, Picture, Seen, UnreadablePicture, read_picture
from laionet_assets.predictors.predictor import Predictor, Ranked

if TYPE_CHECKING:
    from PIL.Image import Image

Item = tuple[Hashable, Content]
"""A picture's id and its content."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome:
    """What became of one picture with one model, as some profiles of admission see it.

    `ranked` holds the k best wnids and their scores, best first, and is empty exactly if `error` says why. `width`,
    `height` (pixels, as stored) and `mode` (of the file, as Pillow names it: "RGB", "L", "CMYK" ...) are None where it
    could not be decoded. `profile` is "both" where the profiles see the same, or nothing, and "corrected" alone where
    the mode had to be converted.
    """

    image_id: Hashable
    model: str
    ranked: tuple[tuple[str, float], ...]
    error: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    profile: Seen = "both"


def predict_stream(
    items: Iterable[Item],
    predictors: Sequence[Predictor],
    *,
    k: int = 5,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Outcome]:
    """Outcomes of every picture with every model, in the order of `items`, of profiles, then of `predictors`.

    A model of fewer than k classes gives all of them. `batch_size` None is what suits the device. `items` is read in
    this thread, at most 2 x workers batches ahead of what was taken, so memory is bounded. Errors of a picture are
    outcomes; errors of a model or of `items` are raised. The same items and batch size give the same outcomes with any
    number of workers. Meanwhile torch computes each forward pass with one thread if there are several workers; what it
    was set to comes back with the end.
    """
    if not predictors:
        raise ValueError("expected at least one predictor")
    batches = _batches(items, batch_size or min(predictor.batch_pictures for predictor in predictors))

    def outcomes(batch: list[Item]) -> list[Outcome]:
        looks = [look for image_id, content in batch for look in _looks(image_id, content, max_pixels=max_pixels)]
        by_model = [_predict(predictor, [look.image for look in looks], k=k) for predictor in predictors]
        return [
            _outcome(look, predictor.name, ranked)
            for look, *of_models in zip(looks, *by_model, strict=True)
            for predictor, ranked in zip(predictors, of_models, strict=True)
        ]

    with _one_torch_thread(is_needed=workers > 1) as set_up:
        for batch in ordered_map(outcomes, batches, workers=workers, set_up=set_up):
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


@dataclass(frozen=True)
class _Look:
    """One way in which a picture looks; `image` is why there is none if it cannot be read."""

    image_id: Hashable
    profile: Seen
    image: "Image | str"
    picture: Picture | None


def _looks(image_id: Hashable, content: Content, *, max_pixels: int) -> list[_Look]:
    try:
        picture = read_picture(content, max_pixels=max_pixels)
    except UnreadablePicture as error:
        return [_Look(image_id, "both", str(error), None)]
    return [_Look(image_id, profile, image, picture) for profile, image in picture.looks]


def _predict(predictor: Predictor, images: "Sequence[Image | str]", *, k: int) -> list[Ranked | str]:
    """What a model sees in each picture, or why it sees nothing."""
    results: list[Ranked | str] = []
    inputs = []
    for image in images:
        if isinstance(image, str):
            results.append(image)
            continue
        try:
            inputs.append(predictor.prepare(image))
        except Exception as error:  # a processor that refuses one size or shape: this picture's row, not the batch
            results.append(f"cannot be prepared: {type(error).__name__}: {error}")
        else:
            results.append([])
    ranked = iter(predictor.classify(inputs, k=min(k, len(predictor.wnids))) if inputs else [])
    return [result if isinstance(result, str) else next(ranked) for result in results]


def _outcome(look: _Look, model: str, ranked: Ranked | str) -> Outcome:
    picture = look.picture
    return Outcome(
        image_id=look.image_id,
        model=model,
        ranked=() if isinstance(ranked, str) else tuple(ranked),
        error=ranked if isinstance(ranked, str) else None,
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        mode=picture.mode if picture else None,
        profile=look.profile,
    )


@contextmanager
def _one_torch_thread(*, is_needed: bool) -> Iterator[Callable[[], None]]:
    """While it lasts, torch computes with one thread in every thread that calls what is yielded."""
    import torch

    before = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(1) if is_needed else None
    finally:
        torch.set_num_threads(before)
