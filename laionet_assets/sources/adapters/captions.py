"""Any table of captions and addresses: what no other format is for.

Its columns are those that such tables mostly have; `sources[].columns` in the settings says which others are read.
"""

from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.formats import CSV, JSON_LINES, PARQUET

ADAPTERS = (
    Adapter(
        name="captions",
        description="Captions and addresses: image_url, caption (or text); others by sources[].columns.",
        columns={
            "source_key": ("key", "id", "uid"),
            "caption": ("caption", "text"),
            "url": ("image_url", "url"),
            "width": ("width",),
            "height": ("height",),
            "nsfw": ("NSFW",),
            "punsafe": ("punsafe",),
            "pwatermark": ("pwatermark",),
            "image_text_similarity": ("similarity",),
            "license": ("LICENSE",),
            "language": ("LANGUAGE",),
        },
        identified_by=(("image_url",), ("caption", "text")),
        formats=(PARQUET, CSV, JSON_LINES),
    ),
)
