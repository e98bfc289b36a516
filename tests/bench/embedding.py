"""Stage embedding: pictures to vectors by two image encoders, beside decoding and forward passes alone."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

from laionet_assets.models.spec import IMAGE_ENCODER, parse_model
from tests.bench.measure import Cost, apart
from tests.bench.options import Options
from tests.bench.report import Section, Table, number, times
from tests.bench.turns import FLOOR, SLICE_PICTURES, WORKERS, draw_web_pictures, in_turns, rows_of, targets_of

MODELS = tuple(f"tf_efficientnet_lite{size}" for size in (0, 1))
"""Those of laionet.yaml."""


def embedding(options: Options) -> Section:
    """The stream of core.image_embeddings and the pieces of its work alone."""
    pictures = 24 if options.quick else 400
    repeats = 1 if options.quick else 3
    drawn = options.folder / "embedding.pickle"
    drawn.write_bytes(pickle.dumps(draw_web_pictures(pictures)))
    costs: Mapping[str, Cost] = apart(embed_in_turns, drawn, repeats).value
    rows = rows_of(costs)
    floor = rows[FLOOR]

    def line(what: str, cost: Cost) -> tuple[str, ...]:
        return (
            what,
            number(cost.cpu_seconds),
            number(pictures / cost.cpu_seconds),
            times(cost.cpu_seconds / floor.cpu_seconds),
            times(cost.wall_seconds / floor.wall_seconds),
        )

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
                [line(what, cost) for what, cost in rows.items()],
            ),
        ],
        targets=targets_of("embedding pictures", costs, ("cpu",)) if not options.quick else [],
    )


def embed_in_turns(drawn: Path, repeats: int) -> Mapping[str, Cost]:
    """Ours and each piece of its work in turns."""
    from laionet_assets.encoders.images import load_image_encoder
    from laionet_assets.models.devices import torch_threads_in_workers
    from laionet_assets.pictures.sight import Refused
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
                    assert not isinstance(result, Refused), result.reason
                    result.astype("float16")

    ours(files[: 2 * size])
    return in_turns(
        files,
        ours=ours,
        prepares=[encoder.prepare for encoder in encoders],
        forwards=[encoder.compute for encoder in encoders],
        size=size,
        repeats=repeats,
    )
