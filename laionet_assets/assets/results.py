"""Stage predictions and marts, what Python makes of results: published ones (raw.published_correctness,
raw.published_labels), the classes that count (raw.class_lists), the predictors of laionet.yaml (raw.predictors) and
marts.accuracy_gap.

Belongs here: which files of the settings go into which table. Does not belong here: their layouts and the bootstrap
(`published_results`, `stats`), correctness, weights, recalls and accuracies (SQL), predicting.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from laionet_assets.assets.local_files import contents_of
from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import ComparedSettings, PublishedResultsSettings, Settings, SettingsError
from laionet_assets.sqlmodels.loader import Project

ZERO_SHOT_PROVIDER = "open_clip"
"""Predictors of this library compare a picture with texts; the others have a head of classes."""

_RECALLS_THAT_COUNT = """
    select image_set, model, k, wnid, recall, se
    from marts.class_recall
    semi join (select image_set, wnid from core.class_weights where weighting = 'equal') using (image_set, wnid)
"""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the five tables. Raises SettingsError for result files that are not on this machine."""
    _assert_local(settings)
    published = [(item, Path(settings.resolve(item.path)), _path(settings, item.labels)) for item in _results(settings)]
    listed = {item.name: path for item, _, path in published if path is not None}
    counted = {item.name: path for item in _compared(settings) if (path := _path(settings, item.classes)) is not None}
    predictors = [
        {
            "model": item.name,
            "position": position,
            "provider": provider,
            "is_zero_shot": provider == ZERO_SHOT_PROVIDER,
            "is_baseline": provider != ZERO_SHOT_PROVIDER if item.baseline is None else item.baseline,
        }
        for position, item in enumerate(settings.predictors)
        for provider in [item.model.partition(":")[0]]
    ]
    models = project.models

    return {
        "raw.published_correctness": Step(
            model=models["raw.published_correctness"],
            write=partial(_write_correctness, published),
            outside=contents_of({item.name: [path, labels] for item, path, labels in published}),
        ),
        "raw.published_labels": Step(
            model=models["raw.published_labels"],
            write=partial(_write_label_counts, listed),
            outside=contents_of({name: [path] for name, path in listed.items()}),
        ),
        "raw.class_lists": Step(
            model=models["raw.class_lists"],
            write=partial(_write_classes, counted),
            outside=contents_of({name: [path] for name, path in counted.items()}),
        ),
        "raw.predictors": Step(
            model=models["raw.predictors"],
            settings=(repr(predictors),),
            write=partial(_write_predictors, predictors),
        ),
        "marts.accuracy_gap": Step(model=models["marts.accuracy_gap"], write=_write_gaps),
    }


def _results(settings: Settings) -> Sequence[PublishedResultsSettings]:
    return sorted(settings.published_results, key=lambda item: item.name)


def _compared(settings: Settings) -> Sequence[ComparedSettings]:
    return sorted(settings.compared, key=lambda item: item.name)


def _path(settings: Settings, path: Path | None) -> Path | None:
    return Path(settings.resolve(path)) if path is not None else None


def _assert_local(settings: Settings) -> None:
    """Raise SettingsError listing every result file that is named by a URL: its content is part of the versions."""
    problems = [
        f"  published_results[{i}].path: found the URL {item.path}, expected a local file: download it first"
        for i, item in enumerate(settings.published_results)
        if "://" in item.path
    ]
    if problems:
        raise SettingsError(f"{settings.config_path}: {len(problems)} problem(s)\n" + "\n".join(problems))


def _write_correctness(published: Sequence[tuple[PublishedResultsSettings, Path, Path | None]], work: Work) -> None:
    from laionet_assets.published_results import PublishedResults, published_select, read_label_list

    results = [
        PublishedResults(item.name, str(path), read_label_list(labels) if labels else None)
        for item, path, labels in published
    ]
    work.write_rows(published_select(work.connection, results))


def _write_label_counts(lists: Mapping[str, Path], work: Work) -> None:
    from laionet_assets.published_results import label_counts, read_label_list

    work.write_rows([row for name, path in lists.items() for row in label_counts(name, read_label_list(path))])


def _write_classes(lists: Mapping[str, Path], work: Work) -> None:
    from laionet_assets.published_results import read_label_list

    listed = {name: read_label_list(path).wnids for name, path in lists.items()}
    work.write_rows([{"image_set": name, "wnid": wnid} for name, wnids in listed.items() for wnid in wnids])


def _write_predictors(predictors: Sequence[Mapping[str, object]], work: Work) -> None:
    work.write_rows([{**row, "is_zero_shot": row["provider"] == ZERO_SHOT_PROVIDER} for row in predictors])


def _write_gaps(work: Work) -> None:
    """Gaps between image sets over the classes that count in both and have a recall in both."""
    from laionet_assets.stats import accuracy_gaps

    recalls = work.connection.sql(_RECALLS_THAT_COUNT).to_arrow_table()
    weights = work.connection.sql(
        "select image_set, weighting, wnid, label_list, weight from core.class_weights"
    ).to_arrow_table()
    work.write_rows(accuracy_gaps(recalls, weights))
