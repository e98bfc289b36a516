"""Stage predicting: pictures through three classifiers, beside the published way and beside decoding and forward passes
alone.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.models.spec import PREDICTOR, ModelSpec, parse_model
from tests.bench.measure import Cost, apart, stopwatch
from tests.bench.options import Options
from tests.bench.published import predictions
from tests.bench.report import Section, Table, number, percent, times
from tests.bench.turns import FLOOR, SLICE_PICTURES, WORKERS, draw_web_pictures, in_turns, rows_of, targets_of
from tests.imagenet import CLASSES

if TYPE_CHECKING:
    import torch

MODELS = tuple(f"tf_efficientnet_lite{size}" for size in (0, 1, 2))
PUBLISHED_PICTURES = 96


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
    rows = rows_of(found.costs)
    floor = rows[FLOOR]
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
                    *(line(what, cost) for what, cost in rows.items()),
                ],
            ),
            f"On the {published_pictures} pictures that both ways predicted, the best class is the same for {percent(same)} of"
            " pictures and models.",
        ],
        targets=targets_of("predicting", found.costs, ("cpu", "wall")) if not options.quick else [],
    )


def predict_in_turns(drawn: Path, published_pictures: int, repeats: int) -> Both:
    """Ours and each piece of its work in turns, and the best classes of the first pictures."""
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

    for outcome in predict_stream(enumerate(files[:published_pictures]), predictors, workers=WORKERS):
        best.setdefault(outcome.model, []).append([wnid for wnid, _ in outcome.ranked])
    costs = in_turns(
        files,
        ours=ours,
        prepares=[head.prepare.tensor for head in heads],
        forwards=[partial(_forward, module) for module in modules],
        size=size,
        repeats=repeats,
        held=_stacked,
    )
    return Both(costs, best)


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
