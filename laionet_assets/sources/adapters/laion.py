"""LAION's own metadata: LAION-400M, Re-LAION, LAION-2B and what was derived from it.

Source: the columns that LAION published (laion.ai, 2021-2024); in some copies whole numbers are stored as f64.
"""

from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.formats import CSV, JSON_LINES, PARQUET

_SAFETY = {"nsfw": ("NSFW",), "punsafe": ("punsafe",), "pwatermark": ("pwatermark",)}
_SHARED = {
    **_SAFETY,
    "width": ("WIDTH",),
    "height": ("HEIGHT",),
    "image_text_similarity": ("similarity",),
    "license": ("LICENSE",),
    "language": ("LANGUAGE",),
}
_DERIVED = ("hash", "punsafe", "pwatermark")

ADAPTERS = (
    Adapter(
        name="laion400m",
        description="LAION-400M: SAMPLE_ID, URL, TEXT, HEIGHT, WIDTH, LICENSE, NSFW, similarity (CLIP ViT-B/32).",
        columns={**_SHARED, "source_key": ("SAMPLE_ID",), "caption": ("TEXT",), "url": ("URL",)},
        required=("caption", "url", "nsfw"),
        identified_by=(("SAMPLE_ID",), ("URL",), ("TEXT",)),
        never_with=_DERIVED,
        formats=(PARQUET, CSV, JSON_LINES),
    ),
    Adapter(
        name="laion2b",
        description="LAION-2B derivatives: URL, TEXT, WIDTH, HEIGHT, similarity, hash, punsafe, pwatermark, ...",
        columns={**_SHARED, "source_key": ("SAMPLE_ID",), "caption": ("TEXT",), "url": ("URL",)},
        identified_by=(("URL",), ("TEXT",), _DERIVED),
        formats=(PARQUET, CSV, JSON_LINES),
    ),
    Adapter(
        name="relaion",
        description="Re-LAION-400M, Re-LAION-2B-en: url, caption, usually similarity, hash, punsafe, NSFW, key, ...",
        columns={**_SHARED, "source_key": ("key",), "caption": ("caption",), "url": ("url",)},
        identified_by=(("url",), ("caption",), (*_DERIVED, "similarity", "NSFW", "md5")),
        never_with=("status",),
        formats=(PARQUET, CSV, JSON_LINES),
    ),
)
