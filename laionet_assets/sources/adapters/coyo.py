"""COYO-700M. It has two detectors of unsafe pictures and no tag: punsafe is the more cautious of the two."""

from laionet_assets.sources.adapters.base import Adapter, Greatest
from laionet_assets.sources.formats import CSV, JSON_LINES, PARQUET

ADAPTERS = (
    Adapter(
        name="coyo",
        description="COYO-700M: id, url, text, width, height, clip_similarity_vitb32, nsfw_score_*, ...",
        columns={
            "source_key": ("id",),
            "caption": ("text",),
            "url": ("url",),
            "width": ("width",),
            "height": ("height",),
            "punsafe": (Greatest(("nsfw_score_opennsfw2", "nsfw_score_gantman")),),
            "pwatermark": ("watermark_score",),
            "image_text_similarity": ("clip_similarity_vitb32",),
        },
        required=("source_key", "caption", "url"),
        identified_by=(("id",), ("url",), ("text",), ("image_phash", "clip_similarity_vitb32", "watermark_score")),
        formats=(PARQUET, CSV, JSON_LINES),
    ),
)
