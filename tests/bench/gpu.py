"""`python -m tests.bench.gpu`: how full a card is, and how full all cores are, beside floors and peers.

Runs where there are torch, torchvision, transformers, timm, tokenizers, pyarrow and pillow, without duckdb and dagster;
rows that need open_clip say so where it is not installed. On a machine without a card everything runs on the CPU: then
it shows that the script works, and what the cores do. Weights are random: rates and agreement do not depend on them.

    --real FOLDER     real captions (captions/*.parquet) and photographs (images/*/*.jpg); else made-up ones
    --seconds N       about how long each rate is measured (default 4; a test takes less)
    --cores 1,2,4     numbers of cores to scale over (default: powers of two that are there)
    --out FILE        the table as Markdown, besides the terminal

Belongs here: what is measured. Does not belong here: texts, pictures, weights and models (`gpu_work`).
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.gpu_work import (
    NOT_INSTALLED,
    Missing,
    Work,
    clip_text,
    minilm_text,
    one_core_rates,
    peer_loader,
    predictors,
    rivals_of_text,
    steady_rate,
)

Row = tuple[str, str, str, str, str, str]
HEAD: Row = ("what", "ours", "floor", "peer", "wanted on a card", "remarks")

WANTED = {
    "CLIP ViT-B/32 text": 50_000,
    "MiniLM-size text": 60_000,
    "ResNet-50": 3_400,
    "CLIP zero-shot": 3_400,
    "EfficientNet-Lite0": 3_400,
}
"""Texts or pictures a second on one H100 or H200 with 16 cores."""
WANTED_OF_THE_CARD = 12_000
"""Pictures a second where the card decodes."""
WANTED_SHARE = 0.85
"""Of what as many single-core processes do."""
LONGEST_SECONDS = 300.0
"""After this, what is left is not measured, and says so."""


@dataclass
class Bench:
    """The rows so far, and the time that is left."""

    work: Work
    seconds: float
    out: Path | None = None
    started: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)

    def add(
        self, what: str, ours: str, *, floor: str = "", peer: str = "", wanted: str = "", remarks: str = ""
    ) -> None:
        self.rows.append((what, ours, floor, peer, wanted, remarks))
        print(f"[{time.monotonic() - self.started:5.0f} s] {what}: {ours}  {floor}  {peer}  {remarks}", flush=True)
        if self.out is not None:  # at every row: what ends the bench costs the rows after it
            self.out.write_text(markdown(self), encoding="utf-8")

    @contextlib.contextmanager
    def section(self, what: str) -> Iterator[None]:
        """A part of the bench: what cannot be measured is a row that says why, and the rest goes on."""
        try:
            yield
        except Missing as error:
            self.add(what, "not run", remarks=str(error))
        except Exception as error:  # one model that fails must not cost the other rows
            self.add(what, "failed", remarks=f"{type(error).__name__}: {str(error)[:200]}")

    def expect_time(self) -> None:
        """Raises Missing where none is left."""
        if time.monotonic() - self.started > LONGEST_SECONDS:
            raise Missing(f"left out after {LONGEST_SECONDS:.0f} s")

    @property
    def few(self) -> int:
        """Items that are enough to compare two ways: a CPU computes them too."""
        return 256 if self.work.device == "cuda" else 8

    def rate(self, work: Callable[[int], Any], *, first: int, most: int) -> float:
        """Items a second of `work(items)`, as `steady_rate` measures it, on a CPU from a few items on."""
        self.expect_time()
        first = first if self.work.device == "cuda" else min(first, 16)
        return steady_rate(work, first=first, seconds=self.seconds, most=most, synchronize=self.work.synchronize)

    def beside(self, work: Callable[[int], Any], *, first: int, most: int) -> str:
        """The rate of something that ours is compared with, or why there is none: it must not cost our row."""
        try:
            return per_second(self.rate(work, first=first, most=most))
        except Exception as error:
            return f"not measured ({type(error).__name__}: {str(error)[:100]})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the arguments ask for, print the table, and write it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=os.environ.get("LAIONET_REAL_DATA") or None)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--cores", type=lambda text: [int(each) for each in text.split(",")])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--on-cores", type=lambda text: [int(each) for each in text.split(",")], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.on_cores is not None:
        os.sched_setaffinity(0, chosen.on_cores)
        rates = one_core_rates(Work(chosen.folder, chosen.real, device="cpu"), len(chosen.on_cores), chosen.seconds)
        print(json.dumps(rates))
        return
    with tempfile.TemporaryDirectory(prefix="laionet-gpu-") as folder:
        bench = Bench(Work(Path(folder), chosen.real), chosen.seconds, chosen.out)
        for section in (texts, pictures, decoded_by_device):
            section(bench)
        scaling(bench, chosen.cores or cores_to_scale_over())
    print(markdown(bench))


def texts(bench: Bench) -> None:
    """Both kinds of text encoder."""
    for what, made in (("CLIP ViT-B/32 text", clip_text), ("MiniLM-size text", minilm_text)):
        with bench.section(what):
            _text(bench, what, made(bench.work, bench.work.device), made(bench.work, "cpu"))


def _text(bench: Bench, what: str, encoder: Any, on_cpu: Any) -> None:
    """Agreement with the CPU, tokenizers, forward passes, all of it."""
    few = bench.work.captions[: bench.few]
    ours, theirs = encoder.encode(few), on_cpu.encode(few)
    worst = float((1 - (ours * theirs).sum(axis=1)).max())
    is_repeated = bool((encoder.encode(few) == ours).all())
    bench.add(f"{what}: 1 - cosine to the CPU, largest of {len(few)}", f"{max(worst, 0):.1e}")
    bench.add(f"{what}: a second run gives equal bytes", "yes" if is_repeated else "no")
    rivals = rivals_of_text(encoder, bench.work)
    rust = bench.rate(rivals.tokenizer, first=1_024, most=200_000)
    own = bench.beside(rivals.own_tokenizer, first=256, most=20_000)
    bench.add(f"{what}: tokenizer alone", per_second(rust), peer=f"its library's own {own}")
    rate = bench.rate(lambda count: encoder.encode(bench.work.captions_of(count)), first=1_024, most=500_000)
    forward = bench.beside(rivals.forward, first=1_024, most=1_000_000)
    peer = bench.beside(rivals.peer, first=1_024, most=100_000)
    bench.add(
        f"{what}: end to end",
        per_second(rate),
        floor=f"forward alone {forward}",
        peer=f"{rivals.peer_name} {peer}",
        wanted=met(bench, what, rate),
        remarks=encoder.told(),
    )


def pictures(bench: Bench) -> None:
    """Predictors: agreement with the CPU, decoding, forward passes, all of it, and several models at once."""
    from laionet_assets.pictures.processes import are_worth_it
    from laionet_assets.pictures.reading import read_picture
    from laionet_assets.pictures.stream import available_cores
    from laionet_assets.predictors import predict_stream

    cores = available_cores()
    way = f"{cores} {'processes' if are_worth_it(cores) else 'threads'}"

    def stream(models: list[Any]) -> Callable[[int], Any]:
        return lambda count: list(
            predict_stream(bench.work.pictures_of(count), models, workers=cores, processes=are_worth_it(cores))
        )

    with bench.section("decoding"):
        decode = bench.rate(
            lambda count: [read_picture(data) for _, data in bench.work.pictures_of(count)], first=32, most=4_000
        )
        bench.add(
            "decoding alone, one core", per_second(decode), remarks=f"files of {bench.work.mean_bytes / 1000:.0f} kB"
        )
    made: list[Any] = []
    for what, load in predictors().items():
        with bench.section(what):
            model, on_cpu = load(bench.work, bench.work.device, "cpu"), load(bench.work, "cpu", "cpu")
            images = [read_picture(data).image for _, data in bench.work.pictures_of(bench.few)]
            pairs = zip(model.predict(images, k=1), on_cpu.predict(images, k=1), strict=True)
            agreement = float(np.mean([one[0][0] == other[0][0] for one, other in pairs]))
            bench.add(f"{what}: same first class as on the CPU, of {len(images)}", f"{agreement:.1%}")
            every_worker = cores * model.batch_pictures
            rate = bench.rate(stream([model]), first=every_worker, most=50_000)
            forward = bench.beside(forward_alone(bench.work, model, images), first=model.batch_pictures, most=200_000)
            peer = ""
            if what == "ResNet-50":
                found = bench.beside(peer_loader(bench.work, cores), first=every_worker, most=20_000)
                peer = f"DataLoader of {cores} processes {found}"
            bench.add(
                f"{what}: end to end",
                per_second(rate),
                floor=f"forward alone {forward}",
                peer=peer,
                wanted=met(bench, what, rate),
                remarks=f"{model.told()}; decoded in {way}",
            )
            made.append(model)
    with bench.section("models together"):
        if len(made) < 2:
            raise Missing("fewer than two models could be loaded")
        rate = bench.rate(stream(made), first=cores * min(model.batch_pictures for model in made), most=50_000)
        bench.add(f"{len(made)} models together, one decoding", per_second(rate))


def forward_alone(work: Work, model: Any, images: Sequence[Any]) -> Callable[[int], Any]:
    """Normalising and the forward pass of pictures that are on the device already."""
    import torch

    size = model.batch_pictures
    pixels = np.stack([model.prepare(images[i % len(images)]) for i in range(size)])
    batch = torch.from_numpy(pixels).to(model._forward.device)

    def forward(count: int) -> None:
        for start in range(0, count, size):
            model._forward._compute(batch[: min(size, count - start)])

    return forward


def decoded_by_device(bench: Bench) -> None:
    """JPEG files that the device decodes: how far their pixels are from the exact ones, and how fast it is.

    Without a card the same functions run on the CPU, by libjpeg; models that ask for a card are left out then.
    """
    import torch

    from laionet_assets.models.on_card import OnCard, agreement, opened
    from laionet_assets.models.preparing import ResizedCenter
    from laionet_assets.pictures.admission import decodes_alike
    from laionet_assets.pictures.processes import are_worth_it
    from laionet_assets.pictures.stream import available_cores
    from laionet_assets.predictors import predict_stream

    cores, device = available_cores(), bench.work.device
    shape = ResizedCenter(256, 224, 3)
    with bench.section("decoding by the device"):
        files = [np.frombuffer(data, dtype=np.uint8) for data in bench.work.files if decodes_alike(data)]
        decoder = OnCard(shape, torch.device(device))
        taken, found = decoder.pixels(files)
        exact = np.stack([np.asarray(shape(opened(files[i]))) for i in taken])
        pixels = agreement(exact, found.cpu().numpy())
        bench.add(
            f"pixels decoded on {device}: from those of the exact way, of 255",
            f"{pixels.mean:.3f} on average, {pixels.worst:.0f} at most",
            remarks=f"{len(taken)} of {len(files)} files taken",
        )
        rate = bench.rate(
            lambda count: decoder.pixels([files[i % len(files)] for i in range(count)]), first=64, most=50_000
        )
        bench.add(f"decoding, resizing and cropping on {device}", per_second(rate))
    for what, load in predictors().items():
        with bench.section(f"{what}, decoded by the card"):
            if device != "cuda":
                bench.add(
                    f"{what}, decoded by the card: end to end", "no card here", wanted=f">= {WANTED_OF_THE_CARD:,}"
                )
                continue
            model, exactly = load(bench.work, device, "card"), load(bench.work, device, "cpu")
            few = bench.work.pictures_of(bench.few)
            pairs = zip(predict_stream(few, [model]), predict_stream(few, [exactly]), strict=True)
            same = float(np.mean([one.ranked[0][0] == other.ranked[0][0] for one, other in pairs]))
            bench.add(f"{what}: same first class whoever decodes, of {len(few)}", f"{same:.1%}")
            rate = bench.rate(
                lambda count, model=model: list(
                    predict_stream(bench.work.pictures_of(count), [model], workers=cores, processes=are_worth_it(cores))
                ),
                first=cores * model.batch_pictures,
                most=200_000,
            )
            bench.add(
                f"{what}, decoded by the card: end to end",
                per_second(rate),
                wanted=f">= {WANTED_OF_THE_CARD:,}: {'met' if rate >= WANTED_OF_THE_CARD else 'missed'}",
                remarks=model.told(),
            )


def scaling(bench: Bench, numbers: Sequence[int]) -> None:
    """CPU rates on some cores, against as many processes of one core each."""
    with bench.section("scaling over cores"):
        bench.expect_time()
        most = max(numbers)
        alone = _on_cores(bench, [range(core, core + 1) for core in range(most)])
        found: dict[int, dict[str, float]] = {}
        with contextlib.suppress(Missing):  # fewer numbers of cores where time is short
            for cores in sorted(numbers, reverse=True):
                found[cores] = _on_cores(bench, [range(cores)])[0]
                bench.expect_time()
        for what in found[most]:
            together = sum(each[what] for each in alone)
            share = found[most][what] / together
            bench.add(
                f"{what} on the CPU",
                ", ".join(f"{cores}: {per_second(rates[what])}" for cores, rates in sorted(found.items())),
                floor=f"{most} single-core processes {per_second(together)}",
                wanted=f"{WANTED_SHARE:.0%}: {'met' if share >= WANTED_SHARE else 'missed'}",
                remarks=f"{share:.0%} of the single cores together",
            )


def _on_cores(bench: Bench, sets: Sequence[range]) -> list[dict[str, float]]:
    """The rates of processes that run at the same time, each on some of the cores that there are."""
    available = sorted(os.sched_getaffinity(0))
    started = []
    for chosen in sets:
        cores = ",".join(str(available[i]) for i in chosen)
        command = [sys.executable, "-m", "tests.bench.gpu", "--on-cores", cores]
        command += ["--folder", str(bench.work.folder), "--seconds", str(bench.seconds)]
        command += ["--real", str(bench.work.real)] if bench.work.real else []
        started.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(len(chosen)), "CUDA_VISIBLE_DEVICES": ""},
            )
        )
    answers = [process.communicate()[0].strip().splitlines() for process in started]
    failed = [process.returncode for process in started if process.returncode]
    if failed:
        raise RuntimeError(f"a process ended with exit code {failed[0]}")
    return [json.loads(lines[-1]) for lines in answers]


def cores_to_scale_over() -> list[int]:
    """1, 2, 4, 8, 16, as far as there are so many."""
    return [cores for cores in (1, 2, 4, 8, 16) if cores <= len(os.sched_getaffinity(0))]


def met(bench: Bench, what: str, rate: float) -> str:
    """What is wanted on a card, and whether it is there; nothing is wanted of a CPU."""
    wanted = WANTED[what]
    if bench.work.device != "cuda":
        return f">= {wanted:,} (no card here)"
    return f">= {wanted:,}: {'met' if rate >= wanted else 'missed'}"


def per_second(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def markdown(bench: Bench) -> str:
    """One table, with machine, card, date and versions above it."""
    import torch

    card = torch.cuda.get_device_name(0) if bench.work.device == "cuda" else "no card"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {card}, {len(os.sched_getaffinity(0))} cores ({platform.machine()}),"
        f" torch {torch.__version__}, {time.monotonic() - bench.started:.0f} s in all, {bench.work.description}."
        f" Items a second. open_clip: {'installed' if bench.work.has_open_clip else NOT_INSTALLED}.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * len(HEAD),
    ]
    return (
        "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in bench.rows)])
        + "\n"
    )


if __name__ == "__main__":
    main()
