"""Pictures through models, ours and the pieces of its work in turns: what the benches of predicting and of embedding
share.

Belongs here: taking turns, the least of each slice, the rows and targets of both. Does not belong here: what ours is.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from tests.bench.measure import Cost, cost_of
from tests.bench.report import Target, times

WORKERS = 2
SLICE_PICTURES = 200
WITHIN = 1.10
OURS, DECODE, PREPARE, FORWARD = "ours", "decode", "prepare", "forward"
FLOOR, ALONE = "floor: decode and forward alone", "decode, prepare and forward alone"


def in_turns(
    files: Sequence[bytes],
    *,
    ours: Callable[[Sequence[bytes]], Any],
    prepares: Sequence[Callable[[Any], Any]],
    forwards: Sequence[Callable[[Sequence[Any]], Any]],
    size: int,
    repeats: int,
    held: Callable[[Sequence[Any]], Any] = list,
) -> dict[str, Cost]:
    """`ours` and each piece of the work, slice by slice, every other time in the other order; see `least_by_slice`.

    Of each model, `prepares` has what makes an input of a picture, and `forwards` what computes a batch of `size` as
    `held` puts it together. The pieces are computed in as many threads as ours has workers.
    """
    from laionet_assets.pictures.reading import read_picture

    def decode(part: Sequence[bytes]) -> list[Any]:
        return in_threads(lambda batch: [read_picture(file).image for file in batch], batches(part, size))

    def prepare(images: Sequence[Any]) -> list[list[Any]]:
        return [
            in_threads(lambda batch, one=one: [one(image) for image in batch], batches(images, size))
            for one in prepares
        ]

    def forward(ready: Sequence[Sequence[Any]]) -> None:
        for compute, of_model in zip(forwards, ready, strict=True):
            in_threads(lambda batch, compute=compute: [compute(batch)], of_model)

    costs: list[dict[str, Any]] = []
    for number_of_slice, part in enumerate(batches(files, SLICE_PICTURES)):
        images = decode(part)
        ready = [[held(batch) for batch in batches(of_model, size)] for of_model in prepare(images)]
        works: dict[str, Callable[[], Any]] = {
            OURS: lambda part=part: ours(part),
            DECODE: lambda part=part: decode(part),
            PREPARE: lambda images=images: prepare(images),
            FORWARD: lambda ready=ready: forward(ready),
        }
        for repetition in range(repeats):
            order = list(works) if (number_of_slice + repetition) % 2 == 0 else list(reversed(works))
            costs.append({"slice": number_of_slice, **{what: cost_of(works[what]) for what in order}})
    return least_by_slice(costs)


def rows_of(costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """The rows of a table: ours, both sums and the pieces, each with its cost."""
    floor = costs[DECODE] + costs[FORWARD]
    return {
        OURS: costs[OURS],
        ALONE: floor + costs[PREPARE],
        FLOOR: floor,
        "... decode": costs[DECODE],
        "... forward": costs[FORWARD],
        "prepare alone": costs[PREPARE],
    }


def targets_of(what: str, costs: Mapping[str, Cost], clocks: Sequence[str]) -> list[Target]:
    """Ours within a share of decoding and forward passes alone, by each clock: `cpu` or `wall`."""
    rows = rows_of(costs)

    def target(clock: str) -> Target:
        ours, floor, alone = (getattr(rows[each], f"{clock}_seconds") for each in (OURS, FLOOR, ALONE))
        name = {"cpu": "cpu-s", "wall": "wall seconds"}[clock]
        return Target(
            f"{what}, {name}, against decoding and forward passes alone",
            f"<= {WITHIN:.2f} x",
            f"{times(ours / floor)} ({times(ours / alone)} if preparing is part of the floor)",
            ours <= WITHIN * floor,
        )

    return [target(clock) for clock in clocks]


def draw_web_pictures(pictures: int) -> list[bytes]:
    """Files of the synthetic web, the classes in turn, seeded by position."""
    from laionet_assets.sample.classes import sample_classes

    wnids = [each.wnid for each in sample_classes()]
    classes = [wnids[i % len(wnids)] for i in range(pictures)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(_draw, classes, range(pictures), chunksize=10))


def least_by_slice(costs: Iterable[Mapping[str, Any]]) -> dict[str, Cost]:
    """For each piece of work, the least cpu-seconds and the least wall seconds of every slice, summed over slices."""
    by_slice: dict[int, list[Mapping[str, Any]]] = {}
    for each in costs:
        by_slice.setdefault(each["slice"], []).append(each)
    total: dict[str, Cost] = {}
    for repetitions in by_slice.values():
        for what in repetitions[0].keys() - {"slice"}:
            least = Cost(
                min(each[what].cpu_seconds for each in repetitions),
                min(each[what].wall_seconds for each in repetitions),
            )
            total[what] = total.get(what, Cost()) + least
    return total


def in_threads(work: Callable[[Any], Sequence[Any]], items: Iterable[Any]) -> list[Any]:
    """What `work` gives for each item, joined, computed in as many threads as ours has workers, torch with one each."""
    import torch

    before = torch.get_num_threads()
    with ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        joined = [each for some in pool.map(work, items) for each in some]
    torch.set_num_threads(before)
    return joined


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in their order, `size` at a time."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _draw(wnid: str, seed: int) -> bytes:
    from laionet_assets.sample.web_pictures import web_picture

    return web_picture("web", wnid, seed)
