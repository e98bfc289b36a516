"""Many pictures through several models: each decoded once, in order, while others are computed; one unreadable
picture costs its own results.

Each worker thread takes a batch through everything: read, decode, prepare, compute, so that n workers keep n cores
busy, without queues between stages. On a GPU the workers' forward passes take turns, and the others decode meanwhile.

A batch has two halves. The first (`sight`) makes inputs of pictures; with `processes`, each thread has a process that
does it, because decoding takes Python's lock often enough that 16 threads do no more than 4. The second computes.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from laionet_assets.pictures.admission import MAX_PIXELS, PROFILES, Profile, Profiles
from laionet_assets.pictures.processes import Processes
from laionet_assets.pictures.reading import Content
from laionet_assets.pictures.sight import Prepare, Refused, Sight, TakesFiles, exact_input, refused, sights

Item = tuple[Hashable, Content]
"""A picture's id and its content."""

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class PictureModel(Protocol[R_co]):
    """What the stream feeds: a picture to one input, a batch of inputs to one result each.

    Both functions are called from several threads at once; `prepare` in other processes, if they are asked for, so that
    it must be one that can be sent there (`pickle`).
    """

    @property
    def batch_pictures(self) -> int:
        """Pictures of a batch that suit the device."""
        ...

    @property
    def prepare(self) -> Prepare:
        """What makes the input for one RGB picture. An exception costs this picture alone."""
        ...

    def compute(self, inputs: Sequence[Any]) -> Sequence[R_co | None]:
        """One result an input, in order; None for a file that it does not decode, if it `TakesFiles`: it then gets the
        picture. An exception ends the stream.
        """
        ...


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
    processes: bool = False,
    log: Callable[[str], None] = lambda text: None,
    set_up: Callable[[], None] | None = None,
) -> Iterator[Look[R]]:
    """What every model makes of every picture, in the order of `items`, one look for each way in which a picture looks
    under `profiles`.

    `batch_size` None is what suits every model. `items` is read in this thread, at most 2 x workers batches ahead of
    what was taken, so memory is bounded. Errors of a picture are results (`Refused`); errors of a model or of `items`
    are raised. The same items and batch size give the same results with any number of workers, with `processes` (one
    for each worker, which decodes and prepares; `log` is told if one ends over its work) or without. Each thread first
    calls `set_up`. Raises ValueError without a model.
    """
    if not models:
        raise ValueError("expected at least one model")
    batches = _batches(items, batch_size or min(model.batch_pictures for model in models))
    prepares = [model.prepare for model in models]
    see = partial(sights, prepares=prepares, profiles=tuple(profiles), max_pixels=max_pixels)
    crashed = lambda reason: refused(f"decode: {reason}", len(models))  # noqa: E731
    elsewhere = Processes(see, crashed=crashed, log=log) if processes else None

    def looks(batch: list[Item]) -> list[Look[R]]:
        contents = (content for _, content in batch)
        if elsewhere is not None:
            found = elsewhere.map([content() if callable(content) else content for content in contents])
        else:
            found = [see(content) for content in contents]
        return _compute([image_id for image_id, _ in batch], found, models, max_pixels)

    mapped = ordered_map(looks, batches, workers=workers, set_up=set_up)
    try:
        for batch in mapped:
            yield from batch
    finally:
        if elsewhere is not None:
            elsewhere.close()
        mapped.close()


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, set_up: Callable[[], None] | None = None
) -> Generator[R]:
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


def _compute(
    ids: Sequence[Hashable], found: Sequence[Sequence[Sight]], models: Sequence[PictureModel[R]], max_pixels: int
) -> list[Look[R]]:
    seen = [(image_id, sight) for image_id, of_picture in zip(ids, found, strict=True) for sight in of_picture]
    by_model = [_results(model, [sight.inputs[i] for _, sight in seen], max_pixels) for i, model in enumerate(models)]
    return [
        Look(image_id, sight.profiles, tuple(results), sight.width, sight.height, sight.mode)
        for (image_id, sight), *results in zip(seen, *by_model, strict=True)
    ]


def _results(model: PictureModel[R], inputs: Sequence[Any], max_pixels: int) -> list[R | Refused]:
    """The model's results, with refusals where they were; files that its device does not decode go the exact way."""
    accepted = [one for one in inputs if not isinstance(one, Refused)]
    computed: list[Any] = list(model.compute(accepted)) if accepted else []
    prepare = model.prepare
    if isinstance(prepare, TakesFiles) and (left := [i for i, one in enumerate(computed) if one is None]):
        exact = [exact_input(accepted[i], prepare, max_pixels=max_pixels) for i in left]
        for i, result in zip(left, _results(model, exact, max_pixels), strict=True):
            computed[i] = result
    following = iter(computed)
    return [one if isinstance(one, Refused) else next(following) for one in inputs]
