"""DataComp's CommonPool. Its files have hexadecimal names, so its parts have no numbers.

Of the two similarities that it ships, ViT-B/32's is kept: LAION-400M's is of the same model.
"""

from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.formats import CSV, JSON_LINES, PARQUET

ADAPTERS = (
    Adapter(
        name="commonpool",
        description="DataComp / CommonPool: uid, url, text, original_width, original_height, clip_b32_similarity_score",
        columns={
            "source_key": ("uid",),
            "caption": ("text",),
            "url": ("url",),
            "width": ("original_width",),
            "height": ("original_height",),
            "image_text_similarity": ("clip_b32_similarity_score",),
        },
        required=("source_key", "caption", "url"),
        identified_by=(("uid",), ("url",), ("text",)),
        formats=(PARQUET, CSV, JSON_LINES),
    ),
)
