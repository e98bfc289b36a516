"""Stage photographs: real photographs of known classes through the bundled models and the text recogniser."""

from collections import Counter
from pathlib import Path
from typing import Any

from laionet_assets.models.spec import PREDICTOR, parse_model
from tests.bench.measure import Cost, apart, cost_of
from tests.bench.options import Options
from tests.bench.report import Section, Table, number, percent
from tests.imagenet import CLASSES

MODELS = tuple(f"tf_efficientnet_lite{size}" for size in (0, 1, 2))
RECOGNIZERS = {"fast": 1, "default": 5}
"""Profile of RapidOCR -> it reads one picture of so many."""
WORKERS = 2


def photographs(options: Options) -> Section:
    """Accuracy, pictures a second and text found. Says so where there are no photographs."""
    if options.photographs is None:
        return Section("Photographs", ["Not run: no folder of photographs (`LAIONET_REAL_DATA`, its folder `images`)."])
    files = sorted(options.photographs.glob("n*/*.jpg"))[: 30 if options.quick else None]
    cost, accuracies = apart(predict, files).value
    in_processes, accuracies_there = apart(predict, files, True).value
    if accuracies_there != accuracies:
        raise RuntimeError(f"decoded in processes, accuracies are {accuracies_there}, expected {accuracies}")
    rows = [(f"{model}: accuracy, top 1", percent(top_1)) for model, (top_1, _) in accuracies.items()]
    rows += [(f"{model}: accuracy, top 5", percent(top_5)) for model, (_, top_5) in accuracies.items()]
    rows += [
        (f"pictures a second, {len(MODELS)} models", number(len(files) / cost.wall_seconds)),
        (f"pictures per cpu-s, {len(MODELS)} models", number(len(files) / cost.cpu_seconds)),
        ("... a second, decoded in processes", number(len(files) / in_processes.wall_seconds)),
        ("... per cpu-s, decoded in processes", number(len(files) / in_processes.cpu_seconds)),
    ]
    rows += apart(decode_by_device, files).value
    for profile, of in RECOGNIZERS.items():
        chosen = files[::of]
        cost, found = apart(read, chosen, profile).value
        rows += [
            (f"rapidocr:{profile}: pictures a second", number(len(chosen) / cost.wall_seconds)),
            (f"rapidocr:{profile}: pictures per cpu-s", number(len(chosen) / cost.cpu_seconds)),
            (f"rapidocr:{profile}: pictures with text", f"{found['text']:,} of {len(chosen):,}"),
            (f"rapidocr:{profile}: pictures that name their class (corrected rule)", f"{found['named']:,}"),
        ]
    classes = len({file.parent.name for file in files})
    return Section(
        title="Photographs",
        body=[
            f"{len(files):,} real photographs of {classes} ImageNet classes (short side at most 256) through `predict_stream` and"
            f" `recognize_stream`, {WORKERS} workers, models loaded before the clock starts. Decoding in processes is"
            " for more cores: from 4 on a run does so. **The accuracies are inflated**: the"
            " photographs may be among those that the models were trained on.",
            Table(("what", "found"), rows),
        ],
    )


def predict(files: list[Path], processes: bool = False) -> tuple[Cost, dict[str, tuple[float, float]]]:
    """What the models cost, and their top-1 and top-5 accuracy; with `processes`, these decode."""
    from laionet_assets.predictors import load_predictor, predict_stream

    models = [
        load_predictor(parse_model(PREDICTOR, f"timm:{name}", name=name, device="cpu"), classes=CLASSES)
        for name in MODELS
    ]
    outcomes: list[Any] = []
    items = [(file, file) for file in files]
    cost = cost_of(lambda: outcomes.extend(predict_stream(items, models, workers=WORKERS, processes=processes)))
    correct: Counter[tuple[str, int]] = Counter()
    for outcome in outcomes:
        wnids = [wnid for wnid, _ in outcome.ranked]
        correct[outcome.model, 1] += outcome.image_id.parent.name in wnids[:1]
        correct[outcome.model, 5] += outcome.image_id.parent.name in wnids
    return cost, {name: (correct[name, 1] / len(files), correct[name, 5] / len(files)) for name in MODELS}


def decode_by_device(files: list[Path]) -> list[tuple[str, str]]:
    """How far models agree whose device decodes (`decode_on: card`) with those for which Pillow does.

    The device is the CPU: torchvision decodes by libjpeg there instead of nvJPEG, and what resizes is the same.
    """
    import numpy as np

    from laionet_assets.models import on_card
    from laionet_assets.predictors import load_predictor, predict_stream

    on_card.CARD = "cpu"
    items = [(file, file) for file in files]
    rows: list[tuple[str, str]] = []
    for name in MODELS:
        specs = [parse_model(PREDICTOR, f"timm:{name}", name=who, decode_on=who) for who in ("cpu", "card")]
        models = [load_predictor(spec, classes=CLASSES) for spec in specs]
        found = list(predict_stream(items, models, workers=WORKERS))
        pairs = list(zip(found[::2], found[1::2], strict=True))
        same = sum(one.ranked[0][0] == other.ranked[0][0] for one, other in pairs)
        scores = np.mean([abs(one.ranked[0][1] - other.ranked[0][1]) for one, other in pairs])
        rows.append(
            (
                f"{name}: same best class where the device decodes (its functions on the CPU)",
                f"{same:,} of {len(pairs):,}; its score differs by {scores:.4f} on average",
            )
        )
    return rows


def read(files: list[Path], profile: str) -> tuple[Cost, dict[str, int]]:
    """What reading costs, in how many pictures there is text, and in how many it names their class."""
    from laionet_assets.ocr import load_recognizer, parse_recognizer, recognize_stream
    from laionet_assets.taxonomy import load_synsets
    from tests.unit.sql.class_name_in_text import class_name_in_text

    lemmas = {synset.wnid: synset.lemmas for synset in load_synsets("imagenet-1k")}
    recognizer = load_recognizer(parse_recognizer(f"rapidocr:{profile}"))
    outcomes: list[Any] = []
    cost = cost_of(
        lambda: outcomes.extend(recognize_stream([(file, file) for file in files], recognizer, workers=WORKERS))
    )
    texts = [(outcome.image_id.parent.name, outcome.recognized.text) for outcome in outcomes]
    named = sum(class_name_in_text(text, lemmas[wnid], profile="corrected") for wnid, text in texts)
    return cost, {"text": sum(bool(text) for _, text in texts), "named": named}
