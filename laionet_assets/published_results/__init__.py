"""Results that others published: which images a class has, and which predictions of a model are right.

Here: the layouts of such files, read without running what they contain (`label_lists`, `correctness`). Not here: which
files the settings name, what their values mean in an accuracy (`sql/core/correctness.sql`).
"""

from laionet_assets.published_results.correctness import PublishedResults, PublishedResultsError, published_select
from laionet_assets.published_results.label_lists import label_counts, read_label_list

__all__ = ["PublishedResults", "PublishedResultsError", "label_counts", "published_select", "read_label_list"]
