"""Conceptual Captions: two tab-separated columns without a header, quoting off.

The 3M set has them in one order, the 12M set in the other.
"""

from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.formats import TSV

_COLUMNS = {"caption": ("caption",), "url": ("url",)}

ADAPTERS = (
    Adapter(
        name="cc3m",
        description="Conceptual Captions 3M: caption TAB url.",
        columns=_COLUMNS,
        layout=("caption", "url"),
        formats=(TSV,),
    ),
    Adapter(
        name="cc12m",
        description="Conceptual 12M: url TAB caption.",
        columns=_COLUMNS,
        layout=("url", "caption"),
        formats=(TSV,),
    ),
)
