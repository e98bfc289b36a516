"""Statistics that are not SQL, as pure functions of arrays.

Intervals and resampling: `intervals`, `bootstrap`, `sampling` (seeded choices), `correlations`. Accuracies: `gaps`,
`robustness`. How alike images are: `similarity` (of a class), `intra_class` (rows of a mart), `duplicates`,
`comparison` (of two sets), `cross_set`, `probe`. Images, captions and classes: `image_to_class`, `text_rank`,
`caption_terms`, `noise`. Experiments: `arms`, `frontier`. Verdicts: `claims`. Not here: recalls and accuracies
themselves, which are SQL (`sql/core/correctness` to `sql/marts/accuracy`), embedding and predicting, and where arrays
come from.
"""

from laionet_assets.stats.gaps import accuracy_gaps
from laionet_assets.stats.intervals import combine_recalls, wilson_interval, wilson_se

__all__ = [
    "accuracy_gaps",
    "combine_recalls",
    "wilson_interval",
    "wilson_se",
]
