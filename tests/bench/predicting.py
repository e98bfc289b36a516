"""Stage predicting: pictures through three classifiers, beside the published way and beside decoding and forward passes
alone.
"""

import os
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.spec import PREDICTOR, ModelSpec, parse_model
from tests.bench.measure import Cost, apart, cost_of, stopwatch
from tests.bench.options import Options
from tests.bench.published import predictions
from tests.bench.report import Section, Table, Target, number, percent, times
from tests.imagenet import CLASSES

if TYPE_CHECKING:
    import torch

MODELS = tuple(f"tf_efficientnet_lite{size}" for size in (0, 1, 2))
WORKERS = 2
SLICE_PICTURES = 200
PUBLISHED_PICTURES = 96
WITHIN = 1.10
OURS, DECODE, PREPARE, FORWARD = "ours", "decode", "prepare", "forward"


@dataclass(frozen=True)
class Both:
    """`ours` and the pieces of the work by themselves: the least cpu-seconds and the least wall seconds of each slice,
    summed; and the five best wnids of the first pictures, by model.
    """

    costs: Mapping[str, Cost]
    best: Mapping[str, Sequence[Sequence[str]]]


def predicting(options: Options) -> Section:
    """predict_stream, the pieces of its work alone, and the published way."""
    pictures = 24 if options.quick else 600
    repeats = 1 if options.quick else 2
    published_pictures = min(pictures, PUBLISHED_PICTURES)
    drawn = options.folder / "predicting.pickle"
    files = draw_web_pictures(pictures)
    drawn.write_bytes(pickle.dumps(files))
    found: Both = apart(predict_in_turns, drawn, published_pictures, repeats).value
    theirs, best = apart(predict_as_published, drawn, published_pictures).value
    ours, decode, prepare, forward = (found.costs[what] for what in (OURS, DECODE, PREPARE, FORWARD))
    floor = decode + forward
    alone = floor + prepare
    same = agreement(found.best, best)

    def line(what: str, cost: Cost, of: int = pictures) -> tuple[str, ...]:
        return (
            what,
            f"{of:,}",
            number(of / cost.wall_seconds),
            number(cost.cpu_seconds),
            number(of / cost.cpu_seconds),
            times((theirs.cpu_seconds / published_pictures) / (cost.cpu_seconds / of)),
            times((cost.cpu_seconds / of) / (floor.cpu_seconds / pictures)),
            times((cost.wall_seconds / of) / (floor.wall_seconds / pictures)),
        )

    return Section(
        title="Predicting",
        body=[
            f"{pictures} pictures of the synthetic web (files of {sum(map(len, files)) / pictures / 1000:.1f} kB on average,"
            f" 220 to 320 pixels long, JPEG mostly) through {len(MODELS)} models ({', '.join(MODELS)}; fp32, inputs of 224, 240"
            " and 260 pixels), models loaded and warm on every side. Measured: `predict_stream` from bytes to the five best"
            f" classes of each picture and model, {WORKERS} workers. Published way: one model after the other, batches of 32,"
            " each picture decoded again for each model, models as timm builds them, torch's own threads. A picture here is"
            f" one picture through all {len(MODELS)} models.\n\n"
            f"* Floor: every picture decoded once, and each model's forward passes alone on tensors held in memory; the same"
            f" models as ours (in ONNX Runtime), the same batches, {WORKERS} threads. It leaves out"
            " *preparing* (resize, crop, normalise, for each model; bit for bit as timm does it), which no prediction can do"
            " without; the distance to *decode, prepare and forward alone* stands beside the target.\n"
            f"* Ours and the pieces take turns, slice by slice ({min(pictures, SLICE_PICTURES)} pictures); of {repeats}"
            " repetitions of a slice the least cpu-s and the least wall seconds count.",
            Table(
                (
                    "way",
                    "pictures",
                    "pictures a second",
                    "cpu-s",
                    "pictures per cpu-s",
                    "published / this, cpu-s",
                    "x floor, cpu-s",
                    "x floor, wall",
                ),
                [
                    line("published way", theirs, published_pictures),
                    line("ours", ours),
                    line("decode, prepare and forward alone", alone),
                    line("floor: decode and forward alone", floor),
                    line("... decode", decode),
                    line("... forward", forward),
                    line("prepare alone", prepare),
                ],
            ),
            f"On the {published_pictures} pictures that both ways predicted, the best class is the same for {percent(same)} of"
            " pictures and models.",
        ],
        targets=[
            Target(
                "predicting, cpu-s, against decoding and forward passes alone",
                f"<= {WITHIN:.2f} x",
                f"{times(ours.cpu_seconds / floor.cpu_seconds)} ({times(ours.cpu_seconds / alone.cpu_seconds)} if preparing"
                " is part of the floor)",
                ours.cpu_seconds <= WITHIN * floor.cpu_seconds,
            ),
            Target(
                "predicting, wall seconds, against decoding and forward passes alone",
                f"<= {WITHIN:.2f} x",
                f"{times(ours.wall_seconds / floor.wall_seconds)} ({times(ours.wall_seconds / alone.wall_seconds)} if"
                " preparing is part of the floor)",
                ours.wall_seconds <= WITHIN * floor.wall_seconds,
            ),
        ]
        if not options.quick
        else [],
    )


def draw_web_pictures(pictures: int) -> list[bytes]:
    """Files of the synthetic web, the classes in turn, seeded by position."""
    from laionet_assets.sample.classes import sample_classes

    wnids = [each.wnid for each in sample_classes()]
    classes = [wnids[i % len(wnids)] for i in range(pictures)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(_draw, classes, range(pictures), chunksize=10))


def predict_in_turns(drawn: Path, published_pictures: int, repeats: int) -> Both:
    """Ours and each piece of the work, slice by slice; every other time in the other order."""
    import torch

    from laionet_assets.models.on_cpu import faster_on_cpu
    from laionet_assets.pictures.reading import read_picture
    from laionet_assets.predictors import load_predictor, predict_stream
    from laionet_assets.predictors.classifiers import timm_head

    files: list[bytes] = pickle.loads(drawn.read_bytes())
    predictors = [load_predictor(spec, classes=CLASSES) for spec in specs()]
    heads = [timm_head(spec, CLASSES) for spec in specs()]
    size = min(predictor.batch_pictures for predictor in predictors)
    modules = []
    for head in heads:
        inputs = torch.stack([head.prepare.tensor(read_picture(file).image) for file in files[:size]])
        modules.append(faster_on_cpu(head.module.float().eval().requires_grad_(False), inputs))
    best: dict[str, list[list[str]]] = {}

    def ours(part: Sequence[bytes]) -> None:
        for _ in predict_stream(enumerate(part), predictors, workers=WORKERS):
            pass

    def decode(part: Sequence[bytes]) -> list[Any]:
        return in_threads(lambda batch: [read_picture(file).image for file in batch], batches(part, size))

    def prepare(images: Sequence[Any]) -> list[list[torch.Tensor]]:
        return [
            in_threads(lambda batch, head=head: [head.prepare.tensor(image) for image in batch], batches(images, size))
            for head in heads
        ]

    def forward(held: Sequence[Sequence[torch.Tensor]]) -> None:
        for module, tensors in zip(modules, held, strict=True):
            in_threads(lambda batch, module=module: [_forward(module, batch)], tensors)

    for outcome in predict_stream(enumerate(files[:published_pictures]), predictors, workers=WORKERS):
        best.setdefault(outcome.model, []).append([wnid for wnid, _ in outcome.ranked])
    costs: list[dict[str, Cost]] = []
    for number_of_slice, part in enumerate(batches(files, SLICE_PICTURES)):
        images = decode(part)
        held = [
            [_stacked(batch) for batch in batches(of_model, size)] for of_model in prepare(images)
        ]  # as a batch goes into a model
        works: dict[str, Callable[[], Any]] = {
            OURS: lambda part=part: ours(part),
            DECODE: lambda part=part: decode(part),
            PREPARE: lambda images=images: prepare(images),
            FORWARD: lambda held=held: forward(held),
        }
        for repetition in range(repeats):
            order = list(works) if (number_of_slice + repetition) % 2 == 0 else list(reversed(works))
            costs.append({"slice": number_of_slice, **{what: cost_of(works[what]) for what in order}})
    return Both(least_by_slice(costs), best)


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


def predict_as_published(drawn: Path, pictures: int) -> tuple[Cost, Mapping[str, Sequence[Sequence[str]]]]:
    """The published way on the first pictures: its cost, models loaded and warm, and the five best wnids by model."""
    from laionet_assets.predictors.classifiers import timm_head

    files: list[bytes] = pickle.loads(drawn.read_bytes())[:pictures]
    models = {spec.name: timm_head(spec, CLASSES) for spec in specs()}
    predictions([BytesIO(file) for file in files[:2]], models)
    with stopwatch() as cost:
        best = predictions([BytesIO(file) for file in files], models)
    return cost, best


def specs() -> list[ModelSpec]:
    """The bundled classifiers, on the CPU."""
    return [parse_model(PREDICTOR, f"timm:{name}", name=name, device="cpu") for name in MODELS]


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


def agreement(left: Mapping[str, Sequence[Sequence[str]]], right: Mapping[str, Sequence[Sequence[str]]]) -> float:
    """Share of pictures and models for which both have the same class first. Raises ValueError for other pictures."""
    pairs = [pair for model in left for pair in zip(left[model], right[model], strict=True)]
    return sum(one[:1] == other[:1] for one, other in pairs) / len(pairs)


def _stacked(tensors: "Sequence[torch.Tensor]") -> "torch.Tensor":
    import torch

    return torch.stack(list(tensors)).contiguous(memory_format=torch.channels_last)


def _forward(module: Callable[["torch.Tensor"], "torch.Tensor"], batch: "torch.Tensor") -> None:
    import torch

    with torch.inference_mode():
        module(batch)


def _draw(wnid: str, seed: int) -> bytes:
    from laionet_assets.sample.web_pictures import web_picture

    return web_picture("web", wnid, seed)
