"""Stage embedding: pictures to vectors by two image encoders, beside decoding and forward passes alone."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.spec import IMAGE_ENCODER, parse_model
from tests.bench.measure import Cost, apart, cost_of
from tests.bench.options import Options
from tests.bench.predicting import (
    DECODE,
    FORWARD,
    OURS,
    PREPARE,
    SLICE_PICTURES,
    WITHIN,
    WORKERS,
    batches,
    draw_web_pictures,
    in_threads,
    least_by_slice,
)
from tests.bench.report import Section, Table, Target, number, times

if TYPE_CHECKING:
    import torch

MODELS = tuple(f"tf_efficientnet_lite{size}" for size in (0, 1))
"""Those of laionet.yaml."""


def embedding(options: Options) -> Section:
    """The stream of core.image_embeddings and the pieces of its work alone."""
    pictures = 24 if options.quick else 400
    repeats = 1 if options.quick else 3
    drawn = options.folder / "embedding.pickle"
    drawn.write_bytes(pickle.dumps(draw_web_pictures(pictures)))
    costs: Mapping[str, Cost] = apart(embed_in_turns, drawn, repeats).value
    floor = costs[DECODE] + costs[FORWARD]
    alone = floor + costs[PREPARE]

    def line(what: str, cost: Cost) -> tuple[str, ...]:
        return (
            what,
            number(cost.cpu_seconds),
            number(pictures / cost.cpu_seconds),
            times(cost.cpu_seconds / floor.cpu_seconds),
            times(cost.wall_seconds / floor.wall_seconds),
        )

    ours = costs[OURS]
    return Section(
        title="Embedding pictures",
        body=[
            f"{pictures} pictures of the synthetic web through {len(MODELS)} image encoders ({', '.join(MODELS)}), models"
            f" loaded and warm. Measured: bytes to vectors in half precision as core.image_embeddings makes them,"
            f" {WORKERS} workers. Floor: every picture decoded once, and each encoder's forward passes alone on tensors held"
            f" in memory, the same batches, {WORKERS} threads; it leaves out *preparing* (resize, crop, normalise, for each"
            f" encoder), which no embedding can do without. They take turns, slice by slice"
            f" ({min(pictures, SLICE_PICTURES)} pictures); of {repeats} repetitions the least count.",
            Table(
                ("way", "cpu-s", "pictures per cpu-s", "x floor, cpu-s", "x floor, wall"),
                [
                    line("ours", ours),
                    line("decode, prepare and forward alone", alone),
                    line("floor: decode and forward alone", floor),
                    line("... decode", costs[DECODE]),
                    line("... forward", costs[FORWARD]),
                    line("prepare alone", costs[PREPARE]),
                ],
            ),
        ],
        targets=[
            Target(
                "embedding pictures, cpu-s, against decoding and forward passes alone",
                f"<= {WITHIN:.2f} x",
                f"{times(ours.cpu_seconds / floor.cpu_seconds)} ({times(ours.cpu_seconds / alone.cpu_seconds)} if preparing"
                " is part of the floor)",
                ours.cpu_seconds <= WITHIN * floor.cpu_seconds,
            )
        ]
        if not options.quick
        else [],
    )


def embed_in_turns(drawn: Path, repeats: int) -> Mapping[str, Cost]:
    """Ours and each piece of the work, slice by slice; every other time in the other order."""
    from laionet_assets.encoders.images import load_image_encoder
    from laionet_assets.models.devices import torch_threads_in_workers
    from laionet_assets.pictures.reading import read_picture
    from laionet_assets.pictures.stream import picture_stream

    files: list[bytes] = pickle.loads(drawn.read_bytes())
    encoders = [
        load_image_encoder(parse_model(IMAGE_ENCODER, f"timm:{name}", name=name, device="cpu")) for name in MODELS
    ]
    size = min(encoder.batch_pictures for encoder in encoders)

    def ours(part: Sequence[bytes]) -> None:
        with torch_threads_in_workers(1) as set_up:
            for look in picture_stream(enumerate(part), encoders, workers=WORKERS, set_up=set_up):
                for result in look.results:
                    result.astype("float16")

    def decode(part: Sequence[bytes]) -> list[Any]:
        return in_threads(lambda batch: [read_picture(file).image for file in batch], batches(part, size))

    def prepare(images: Sequence[Any]) -> "list[list[torch.Tensor]]":
        return [
            in_threads(lambda batch, model=model: [model.prepare(image) for image in batch], batches(images, size))
            for model in encoders
        ]

    def forward(held: "Sequence[Sequence[torch.Tensor]]") -> None:
        for encoder, tensors in zip(encoders, held, strict=True):
            in_threads(lambda batch, encoder=encoder: encoder.compute(batch), batches(tensors, size))

    ours(files[: 2 * size])
    costs: list[dict[str, Any]] = []
    for number_of_slice, part in enumerate(batches(files, SLICE_PICTURES)):
        images = decode(part)
        held = prepare(images)
        works: dict[str, Callable[[], Any]] = {
            OURS: lambda part=part: ours(part),
            DECODE: lambda part=part: decode(part),
            PREPARE: lambda images=images: prepare(images),
            FORWARD: lambda held=held: forward(held),
        }
        for repetition in range(repeats):
            order = list(works) if (number_of_slice + repetition) % 2 == 0 else list(reversed(works))
            costs.append({"slice": number_of_slice, **{what: cost_of(works[what]) for what in order}})
    return least_by_slice(costs)
