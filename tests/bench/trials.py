"""Stage trials: the ways in which models run on a CPU here, beside others that a library offers."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from laionet_assets.models.spec import PREDICTOR, TEXT_ENCODER, parse_model
from tests.bench.captions import texts
from tests.bench.measure import Cost, apart, stopwatch
from tests.bench.options import Options
from tests.bench.predicting import MODELS
from tests.bench.report import Section, Table, number, percent, times
from tests.bench.turns import batches, draw_web_pictures
from tests.bench.workspace import MINILM
from tests.imagenet import CLASSES

OURS, AS_BUILT = "ours", "torch, as built"
THREADS = (1, 2)

Batch = tuple[Any, ...]
Run = Callable[[Batch], np.ndarray]
"""A batch's tensors to its outputs."""


@dataclass
class Rival:
    """One way: what starting it took (the first batch included), the cost of each round by threads, how far its
    outputs are at most from torch's as built, and the share of rows with the same largest output. Or why it is not
    here.
    """

    start: Cost = field(default_factory=Cost)
    rounds: dict[int, list[Cost]] = field(default_factory=lambda: {threads: [] for threads in THREADS})
    difference: float = 0.0
    same_first: float = 1.0
    missing: str = ""


def trials(options: Options) -> Section:
    """MiniLM on captions and the bundled classifiers on pictures, every way in turn in one process."""
    rounds = 1 if options.quick else 5
    captions = sorted(set(texts(options.captions)))[: 40 if options.quick else 300]
    pictures = 8 if options.quick else 48
    found = {"MiniLM, captions": (len(captions), apart(text_rivals, captions, rounds, threads=1).value)}
    files = [path.read_bytes() for path in sorted(options.photographs.glob("n*/*.jpg"))] if options.photographs else []
    files = files[:: max(1, len(files) // pictures)][:pictures] or draw_web_pictures(pictures)
    for model in MODELS:
        rivals = apart(picture_rivals, model, files, rounds, threads=1).value
        found[f"{model}, pictures"] = (len(files), rivals)
    return Section(
        title="Ways to run a model on a CPU",
        body=[
            "The same batches through each way, in one process, in turns (every other round in the other order);"
            f" medians of {rounds} rounds. One thread, then two that take a batch each; every way computes a batch on one."
            " *ours*: captions in torch with linear layers in oneDNN's layout, pictures in ONNX Runtime, exported by"
            " tracing. *start*: from the loaded module to the first batch. Text vectors are compared at unit length, pictures"
            " by their logits. Why it is as it is: docs/decisions.md.",
            Table(
                ("model and way", "start, cpu-s", "per cpu-s", "a second", "2 threads, per cpu-s", "2 threads, a second",
                 "of ours", "difference", "same first"),
                [_line(what, way, rival, of, rivals[OURS]) for what, (of, rivals) in found.items() for way, rival in rivals.items()],
            ),
        ],
    )  # fmt: skip


def text_rivals(captions: Sequence[str], rounds: int) -> dict[str, Rival]:
    """The ways of MiniLM on batches as the product makes them."""
    import torch

    from laionet_assets.models.packed import pack_linear_layers
    from laionet_assets.models.text_encoder import length_sorted_batches
    from laionet_assets.models.text_towers import load_tower

    spec = parse_model(TEXT_ENCODER, MINILM, name="minilm", device="cpu")
    tower = load_tower(spec)
    tokens = tower.tokenizer.tokens(captions)
    padded = (
        tokens.padded(batch, pad_id=tower.pad_id) for batch in length_sorted_batches(tokens.lengths, max_tokens=512)
    )
    held = [(torch.from_numpy(ids), torch.from_numpy(mask)) for ids, mask in padded]

    class Embed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = load_tower(spec).module

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            vectors = self.model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
            return torch.nn.functional.normalize(vectors, dim=1)

    def ours() -> Run:
        packed = Embed().eval()
        pack_linear_layers(packed)
        return _in_torch(packed)

    axes = {name: {0: "texts", 1: "tokens"} for name in ("ids", "mask")}
    ways = {
        AS_BUILT: lambda: _in_torch(Embed().eval()),
        OURS: ours,
        "ONNX Runtime, exported by tracing": lambda: _in_onnx(
            Embed().eval(), held[0], dynamo=False, input_names=[*axes], dynamic_axes=axes
        ),
        "torch.compile": lambda: _compiled(Embed().eval(), dynamic=True),
    }
    return run_in_turns(ways, held, rounds)


def picture_rivals(model: str, files: Sequence[bytes], rounds: int) -> dict[str, Rival]:
    """The ways of a classifier on batches as the product makes them."""
    import copy

    import torch

    from laionet_assets.models.forward import BATCH_PICTURES
    from laionet_assets.models.on_cpu import faster_on_cpu
    from laionet_assets.pictures.reading import read_picture
    from laionet_assets.predictors.classifiers import timm_head

    head = timm_head(parse_model(PREDICTOR, f"timm:{model}", name=model, device="cpu"), CLASSES)
    plain = head.module.float().eval().requires_grad_(False)
    prepared = [head.prepare.tensor(read_picture(file).image) for file in files]
    held = [
        (torch.stack(list(batch)).contiguous(memory_format=torch.channels_last),)
        for batch in batches(prepared, BATCH_PICTURES["cpu"])
    ]
    (example,) = held[0]
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    ways = {
        AS_BUILT: lambda: _in_torch(plain),
        OURS: lambda: _in_torch(faster_on_cpu(plain, example)),
        "ONNX Runtime, torch.export": lambda: _in_onnx(
            plain, held[0], dynamo=True, dynamic_shapes=dynamic, verbose=False
        ),
        "torch.compile": lambda: _compiled(copy.deepcopy(plain).to(memory_format=torch.channels_last)),
    }
    return run_in_turns(ways, held, rounds)


def run_in_turns(ways: Mapping[str, Callable[[], Run]], held: Sequence[Batch], rounds: int) -> dict[str, Rival]:
    """Start every way, compare what each makes of the batches with the first's, and let them take turns."""
    rivals, runs, outputs = {way: Rival() for way in ways}, {}, {}
    for way, start in ways.items():
        try:
            with stopwatch() as rivals[way].start:
                run = start()
                run(held[0])
            outputs[way] = np.concatenate([run(batch) for batch in held])
            runs[way] = run
        except Exception as error:  # no compiler, no exporter: that way is not here
            rivals[way].missing = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:80]}"
    expected = next(iter(outputs.values()))
    for way, found in outputs.items():
        rivals[way].difference = float(np.abs(found - expected).max())
        rivals[way].same_first = float((found.argmax(1) == expected.argmax(1)).mean())
    for i in range(rounds):
        for threads in THREADS:
            for way in list(runs) if i % 2 == 0 else reversed(runs):
                with ThreadPoolExecutor(threads) as pool, stopwatch() as cost:
                    list(pool.map(runs[way], held))
                rivals[way].rounds[threads].append(cost)
    return rivals


def _in_torch(module: Callable[..., Any]) -> Run:
    import torch

    def run(batch: Batch) -> np.ndarray:
        with torch.no_grad():
            return module(*batch).numpy()

    return run


def _compiled(module: Any, **how: Any) -> Run:
    import torch

    return _in_torch(torch.compile(module, **how))


def _in_onnx(module: Any, example: Batch, **how: Any) -> Run:
    import tempfile

    import onnxruntime
    import torch

    example = tuple(tensor.contiguous() for tensor in example)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"
        torch.onnx.export(module, example, file, **how)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda batch: session.run(
        None, {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in zip(names, batch, strict=True)}
    )[0]


def _line(what: str, way: str, rival: Rival, of: int, ours: Rival) -> tuple[str, ...]:
    if rival.missing:
        return (f"{what}: {way}", f"not here: {rival.missing}", *[""] * 7)
    rates = [
        number(of / median(getattr(cost, seconds) for cost in rival.rounds[threads]))
        for threads in THREADS
        for seconds in ("cpu_seconds", "wall_seconds")
    ]
    cost, own = (median(each.cpu_seconds for each in one.rounds[1]) for one in (rival, ours))
    return (
        f"{what}: {way}", number(rival.start.cpu_seconds), *rates, times(own / cost),
        f"{rival.difference:.1e}", percent(rival.same_first),
    )  # fmt: skip
