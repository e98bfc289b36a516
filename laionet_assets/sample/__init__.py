"""A synthetic web: captions and drawn pictures of 24 ImageNet classes, with the truth of every row.

Belongs here: what the invented pages say, what each caption and picture really is, and the files in LAION-400M's
schema. Does not belong here: matching, similarity, fetching; the room knows nothing of the warehouse that reads its
files.
"""

from laionet_assets.sample.classes import SampleClass, sample_classes
from laionet_assets.sample.web import sample_web_folder, write_sample_part, write_sample_web

__all__ = ["SampleClass", "sample_classes", "sample_web_folder", "write_sample_part", "write_sample_web"]
