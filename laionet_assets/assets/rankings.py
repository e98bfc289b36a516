"""Stage marts, do rankings survive?: marts.model_rankings and marts.model_robustness.

Belongs here: which recalls and accuracies of models are set beside each other. Does not belong here: the statistics
(`stats.correlations`, `stats.robustness`).
"""

from collections.abc import Mapping
from itertools import combinations, groupby
from typing import Any

from laionet_assets.assets.alikeness import known, write_mappings
from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.correlations import ranking_agreement
from laionet_assets.stats.robustness import effective_robustness, relative_improvement

_RANKED_K = (1, 5)
_MODELS = """
    select model, is_zero_shot, is_baseline from raw.predictors
    union all
    select model, bool_or(is_zero_shot) as is_zero_shot, not bool_or(is_zero_shot) as is_baseline
    from raw.published_correctness where model not in (select model from raw.predictors) group by model
"""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the two tables."""
    models = project.models
    return {
        "marts.model_rankings": Step(model=models["marts.model_rankings"], write=_write_rankings),
        "marts.model_robustness": Step(model=models["marts.model_robustness"], write=_write_robustness),
    }


def _write_rankings(work: Work) -> None:
    """Every two image sets, by the models with a head that saw both."""
    import numpy as np

    rows: list[dict[str, Any]] = []
    names = work.connection.execute("select image_set from raw.image_sets order by position").fetchall()
    found = work.connection.execute(
        f"""
        select image_set, k, model, wnid, recall from marts.class_recall
        semi join (select image_set, wnid from core.class_weights where weighting = 'equal') using (image_set, wnid)
        where k in {_RANKED_K} and model in (select model from ({_MODELS}) where not is_zero_shot)
        """
    ).fetchall()
    recalls: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for image_set, k, model, wnid, recall in found:
        recalls.setdefault((image_set, k), {})[model, wnid] = recall
    for (one,), (other,) in combinations(names, 2):
        for k in _RANKED_K:
            here, there = recalls.get((one, k), {}), recalls.get((other, k), {})
            models = sorted({model for model, _ in here} & {model for model, _ in there})
            wnids = sorted({wnid for _, wnid in here} & {wnid for _, wnid in there})
            if len(models) < 2 or not wnids:
                continue
            sides = (
                np.array([[side.get((model, wnid), np.nan) for model in models] for wnid in wnids])
                for side in (here, there)
            )
            tau = ranking_agreement(*sides)
            key = {"image_set": one, "other_image_set": other, "k": k, "models": len(models), "classes": tau.units}
            rows.append(key | {"kendall": tau.value, "ci_low": tau.low, "ci_high": tau.high})
    write_mappings(work, rows)


def _write_robustness(work: Work) -> None:
    """Every model of every ordered pair of image sets, beside the line of the baselines."""
    import numpy as np

    accuracies = work.connection.execute(f"""
        select image_set, other_image_set, k, model, m.is_baseline, accuracy, other_accuracy
        from marts.accuracy_gap join ({_MODELS}) as m using (model)
        where weighting = 'equal' order by all
    """).fetchall()
    rows: list[dict[str, Any]] = []
    for key, group in groupby(accuracies, key=lambda row: row[:3]):
        models, is_baseline, accuracy, other = zip(*(row[3:] for row in group), strict=True)
        found = effective_robustness(np.array(accuracy), np.array(other), np.array(is_baseline, dtype=bool))
        improvement = relative_improvement(np.array(accuracy))
        line = {"slope": found.slope, "intercept": found.intercept, "baselines": found.baselines}
        for i, model in enumerate(models):
            row = dict(zip(("image_set", "other_image_set", "k"), key, strict=True)) | {"model": model} | line
            row |= {"is_baseline": is_baseline[i], "accuracy": accuracy[i], "other_accuracy": other[i]}
            row["effective_robustness"] = known(float(found.effective_robustness[i]))
            rows.append(row | {"relative_improvement": known(float(improvement[i]))})
    write_mappings(work, rows)
