"""The metadata that img2dataset writes beside its shards, NNNNN.parquet: the input's columns and what became of each
address.

Rows that failed to download are pairs like the others. width and height are of the picture as published, not as
resized; both are null where it was never fetched. The pictures in NNNNN.tar are not read here.
"""

from laionet_assets.sources.adapters.base import Adapter, Greatest

ADAPTERS = (
    Adapter(
        name="img2dataset",
        description="img2dataset output: the input's columns, key, status, original_width, original_height, ...",
        columns={
            "source_key": ("key",),
            "caption": ("caption",),
            "url": ("url",),
            "width": ("original_width",),
            "height": ("original_height",),
            "nsfw": ("NSFW",),
            "punsafe": ("punsafe", Greatest(("nsfw_score_opennsfw2", "nsfw_score_gantman"))),
            "pwatermark": ("pwatermark", "watermark_score"),
            "image_text_similarity": ("similarity", "clip_b32_similarity_score", "clip_similarity_vitb32"),
            "license": ("LICENSE",),
            "language": ("LANGUAGE",),
        },
        required=("source_key", "caption", "url"),
        identified_by=(("key",), ("status",), ("url",), ("caption",)),
    ),
)
