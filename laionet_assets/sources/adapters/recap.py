"""Recap-DataComp-1B: two captions a row, the published one and a model's. Which of them is the caption is a choice:
`columns: {caption: org_caption}` or `columns: {caption: re_caption}` in the settings.
"""

from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.formats import JSON_LINES, PARQUET

ADAPTERS = (
    Adapter(
        name="recap",
        description="Recap-DataComp-1B: url, re_caption, org_caption, key; the settings say which caption.",
        columns={"source_key": ("key",), "caption": ("org_caption", "re_caption"), "url": ("url",)},
        identified_by=(("url",), ("re_caption",), ("org_caption",)),
        formats=(PARQUET, JSON_LINES),
    ),
)
