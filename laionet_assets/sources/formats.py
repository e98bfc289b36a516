"""File formats: the ones there are, and which one a file is of."""

from laionet_assets.sources.file_format import Format
from laionet_assets.sources.parquet import Parquet
from laionet_assets.sources.text_files import Csv, JsonLines, Tsv

PARQUET = Parquet()
TSV = Tsv()
CSV = Csv()
JSON_LINES = JsonLines()
FORMATS: tuple[Format, ...] = (PARQUET, TSV, CSV, JSON_LINES)


def format_of(path: str) -> Format | None:
    """The format that a file name's ending says; None if none does."""
    return next((each for each in FORMATS if path.lower().endswith(each.endings)), None)
