"""Captions of the pictures of an image set, from a file: what people wrote beside the pictures of ImageNet.

Belongs here: reading such a file, in the formats that there are. Does not belong here: which picture a caption is of,
and what is made of it.

    .json               a list of objects, as ImageNet-Captions publishes them: filename, wnid, title, tags, description
    .csv .tsv .parquet  a row a picture with columns of the same names; tags may be a list, or texts with commas between

A text is the title, the tags and the description, joined by spaces; a field or column `caption` takes the place of
all three. The picture is named by filename, image_id or file_name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".json", ".csv", ".tsv", ".parquet")
_NAMES = ("filename", "image_id", "file_name")
_TEXTS = ("title", "tags", "description")
_CAPTION = "caption"
_EXPECTED = f"expected {' or '.join(_NAMES)}, and {_CAPTION} or some of {', '.join(_TEXTS)}"
_ROWS = 8_192


class CaptionFileError(UserError):
    """The file has no captions in a format that is known. The message says what was found, expected, what to do."""


@dataclass(frozen=True)
class Caption:
    """A picture's text. `name` is what the file calls the picture, `wnid` its class where the file says so."""

    name: str
    wnid: str | None
    text: str


def read_captions(path: Path) -> Iterator[Caption]:
    """The captions of a file, in its order; a name may come more than once. Raises CaptionFileError."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise CaptionFileError(f"captions {path}: found the ending {ending!r}, expected one of {', '.join(ENDINGS)}")
    try:
        rows = _json_rows(path) if ending == ".json" else _table_rows(path, ending)
        for number, row in enumerate(rows, 1):
            yield _caption(path, number, row)
    except OSError as error:
        raise CaptionFileError(f"captions {path}: {error.strerror or error}; {_EXPECTED}") from None


def _caption(path: Path, number: int, row: Any) -> Caption:
    if not isinstance(row, Mapping):
        raise CaptionFileError(f"captions {path}: found {str(row)[:60]!r} as entry {number}; {_EXPECTED}")
    name = next((row[key] for key in _NAMES if row.get(key) not in (None, "")), None)
    has_text = _CAPTION in row or any(key in row for key in _TEXTS)
    if name is None or not has_text:
        raise CaptionFileError(f"captions {path}: found entry {number} with {', '.join(map(str, row))}; {_EXPECTED}")
    wnid = row.get("wnid")
    return Caption(str(name), str(wnid) if wnid else None, _text(row))


def _text(row: Mapping[str, Any]) -> str:
    if _CAPTION in row:
        return str(row[_CAPTION] or "")
    tags = row.get("tags") or []
    if isinstance(tags, str):
        tags = [tag.strip() for tag in tags.split(",")]
    return " ".join(str(each or "") for each in (row.get("title"), *tags, row.get("description")))


def _json_rows(path: Path) -> Sequence[Any]:
    try:
        rows = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CaptionFileError(f"captions {path}: not readable as JSON: {error}; expected a list of objects") from None
    if not isinstance(rows, list):
        raise CaptionFileError(f"captions {path}: found {type(rows).__name__}, expected a list of objects; {_EXPECTED}")
    return rows


def _table_rows(path: Path, ending: str) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa

    try:
        for batch in _batches(path, ending):
            yield from batch.to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise CaptionFileError(f"captions {path}: not readable: {error}; {_EXPECTED}") from None


def _batches(path: Path, ending: str) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    if ending == ".parquet":
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS)
        return
    parsing = pyarrow.csv.ParseOptions(delimiter="\t" if ending == ".tsv" else ",", newlines_in_values=True)
    as_texts = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in (*_NAMES, *_TEXTS, _CAPTION, "wnid")}, strings_can_be_null=False
    )
    yield from pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=as_texts).to_batches(_ROWS)
