"""Statistics of recalls and accuracies that are not SQL, and the import of published results.

Here: intervals and their combination (`intervals`), the bootstrap over classes (`bootstrap`), accuracy gaps between
image sets (`gaps`), published result files (`published`) and label lists (`label_lists`). Not here: recalls and
accuracies themselves, which are SQL (`sql/core/correctness` to `sql/marts/accuracy`), and predicting (`predictors`).
"""

from laionet_assets.stats.gaps import accuracy_gaps
from laionet_assets.stats.intervals import combine_recalls, wilson_interval, wilson_se
from laionet_assets.stats.label_lists import label_counts, read_label_list
from laionet_assets.stats.published import PublishedResults, PublishedResultsError, published_select

__all__ = [
    "PublishedResults",
    "PublishedResultsError",
    "accuracy_gaps",
    "combine_recalls",
    "label_counts",
    "published_select",
    "read_label_list",
    "wilson_interval",
    "wilson_se",
]
