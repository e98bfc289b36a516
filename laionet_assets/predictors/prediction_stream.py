"""Many pictures through several predictors: each decoded once, in order; one unreadable picture costs its own rows.

A picture that the two profiles see differently (turned by EXIF, transparent) is predicted both ways. Not here: the
stream itself (`pictures.stream`).
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from laionet_assets.models.devices import torch_threads_in_workers
from laionet_assets.pictures.admission import MAX_PIXELS, Profiles
from laionet_assets.pictures.sight import Prepare, Refused
from laionet_assets.pictures.stream import Item, picture_stream
from laionet_assets.predictors.predictor import Predictor, Ranked


@dataclass(frozen=True)
class Outcome:
    """What became of one picture with one model, as some profiles see it.

    `ranked` holds the k best wnids and their scores, best first, and is empty exactly if `error` says why. `width`,
    `height`, `mode` and `profile` are those of `pictures.stream.Look`.
    """

    image_id: Hashable
    model: str
    ranked: tuple[tuple[str, float], ...]
    error: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    profile: Profiles = "both"


def predict_stream(
    items: Iterable[Item],
    predictors: Sequence[Predictor],
    *,
    k: int = 5,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
    processes: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> Iterator[Outcome]:
    """Outcomes of every picture with every model, in the order of `items`, of profiles, then of `predictors`.

    A model of fewer than k classes gives all of them. Order, memory, errors, `batch_size`, `processes` and `log` are
    those of `picture_stream`. Meanwhile torch computes each forward pass with one thread if there are several workers;
    what it was set to comes back with the end.
    """
    models = [_Ranking(predictor, min(k, len(predictor.wnids))) for predictor in predictors]
    with torch_threads_in_workers(1 if workers > 1 else None) as set_up:
        looks = picture_stream(
            items,
            models,
            batch_size=batch_size,
            workers=workers,
            max_pixels=max_pixels,
            processes=processes,
            log=log,
            set_up=set_up,
        )
        for look in looks:
            for predictor, ranked in zip(predictors, look.results, strict=True):
                is_refused = isinstance(ranked, Refused)
                yield Outcome(
                    image_id=look.image_id,
                    model=predictor.name,
                    ranked=() if is_refused else tuple(ranked),  # type: ignore[arg-type]  # is_refused narrows it
                    error=ranked.reason if is_refused else None,  # type: ignore[union-attr]
                    width=look.width,
                    height=look.height,
                    mode=look.mode,
                    profile=look.profiles,
                )


@dataclass(frozen=True)
class _Ranking:
    """A predictor and how many classes are asked of it, as the stream feeds it."""

    predictor: Predictor
    k: int

    @property
    def batch_pictures(self) -> int:
        return self.predictor.batch_pictures

    @property
    def prepare(self) -> Prepare:
        return self.predictor.prepare

    def compute(self, inputs: Sequence[Any]) -> "list[Ranked] | list[Ranked | None]":
        return self.predictor.classify(inputs, k=self.k)
