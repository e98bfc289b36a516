"""What an adapter is: a declaration of where the normalised columns lie in the files of one metadata format.

Belongs here: the shape of the declaration. The declarations are the modules beside this one; `resolution` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from laionet_assets.sources.bounds import BOUNDS, Bound
from laionet_assets.sources.file_format import Format
from laionet_assets.sources.formats import PARQUET

COLUMN_TYPES: Mapping[str, str] = {
    "source_key": "VARCHAR",
    "caption": "VARCHAR",
    "url": "VARCHAR",
    "width": "INTEGER",
    "height": "INTEGER",
    "nsfw": "VARCHAR",
    "punsafe": "DOUBLE",
    "pwatermark": "DOUBLE",
    "image_text_similarity": "DOUBLE",
    "license": "VARCHAR",
    "language": "VARCHAR",
}
"""Columns of raw.pairs that are read from the file, in order; source, part and sample_id come before them."""

NUMBER_COLUMNS = frozenset(name for name, kind in COLUMN_TYPES.items() if kind in ("INTEGER", "DOUBLE"))


@dataclass(frozen=True)
class Greatest:
    """The greatest of several number columns, of those that the file has; nulls count for nothing."""

    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"greatest({', '.join(self.columns)})"


Origin = str | Greatest
"""Where a value comes from: a column of the file, or several of them. A name as written comes before one of another
case.
"""


@dataclass(frozen=True)
class Adapter:
    """A metadata format.

    `columns`: normalised column -> the origins it may have; a file with two of them is ambiguous. `required`:
    normalised columns that a file must have. `identified_by`: a file is of this format if it has at least one name of
    every group and none of `never_with`. `layout`: names of the columns, in order, where the file itself has none.
    """

    name: str
    description: str
    columns: Mapping[str, tuple[Origin, ...]]
    required: tuple[str, ...] = ("caption", "url")
    identified_by: tuple[tuple[str, ...], ...] = ()
    never_with: tuple[str, ...] = ()
    layout: tuple[str, ...] | None = None
    formats: tuple[Format, ...] = (PARQUET,)
    bounds: tuple[Bound, ...] = BOUNDS

    def __post_init__(self) -> None:
        unknown = (set(self.columns) | set(self.required)) - COLUMN_TYPES.keys()
        if unknown or not set(self.required) <= self.columns.keys():
            raise ValueError(
                f"adapter {self.name}: required columns have origins, and columns are among {', '.join(COLUMN_TYPES)}"
            )
        if not (self.layout or self.identified_by):
            raise ValueError(f"adapter {self.name}: expected a layout, or columns that identify it")

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the names of its files."""
        return tuple(ending for each in self.formats for ending in each.endings)
