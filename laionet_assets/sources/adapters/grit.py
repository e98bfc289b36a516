"""GRIT, captions with the places of what they name (Kosmos-2): a subset of COYO-700M. The places are not read.

width and height are of the picture as the authors resized it or as published; they do not say which.
"""

from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.formats import JSON_LINES, PARQUET

ADAPTERS = (
    Adapter(
        name="grit",
        description="GRIT: id, url, caption, width, height, clip_similarity_vitb32, noun_chunks, ref_exps.",
        columns={
            "source_key": ("id",),
            "caption": ("caption",),
            "url": ("url",),
            "width": ("width",),
            "height": ("height",),
            "image_text_similarity": ("clip_similarity_vitb32",),
        },
        identified_by=(("url",), ("caption",), ("noun_chunks", "ref_exps")),
        formats=(PARQUET, JSON_LINES),
    ),
)
