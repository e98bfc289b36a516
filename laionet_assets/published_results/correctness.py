"""Published results: files that say of each image and model whether the top k predictions are right.

Here: the layout of such files, as SELECTs of raw.published_correctness. Not here: what their values mean in an accuracy
(`sql/core/correctness.sql`), label lists as such (`label_lists`).

A file is Parquet with a row an image and columns `top_{k}_is_correct_{model}`: true, false or null. LAIONet's own and
the ones of ImageNet's and ImageNet-V2's validation sets share this layout. The class of an image is in a column `wnid`,
in a label list, or follows from the published query (`name_def_wnid`).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb

from laionet_assets.errors import UserError
from laionet_assets.published_results.label_lists import LabelList
from laionet_assets.warehouse.sql import literal

MAX_K = 5
CLASSES_TABLE = "published_image_classes"
"""Name under which the classes of images from label lists are registered on the connection."""

_COLUMN = re.compile(r"top_(\d+)_is_correct_(.+)")
_ZERO_SHOT = "clip"
_QUERY = "name_def_wnid"
_IN_TEXT = "wnid_is_in_recognized_text"
_INDEX = ("image_id", "__index_level_0__")
_COLUMNS = "image_set, image_id, wnid, model, is_zero_shot, is_known_to_others, has_name_in_text, " + ", ".join(
    f"top_{k}_is_correct" for k in range(1, MAX_K + 1)
)
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "FLOAT", "DOUBLE")
_ALL_NULL = '"NULL"'


class PublishedResultsError(UserError):
    """A file has not the layout of published results. The message lists every problem: found, expected, what to do."""


@dataclass(frozen=True)
class PublishedResults:
    """A result file: the name of the image set that it becomes, its path or URL, and the label list of its images.

    The list is needed only if the file itself does not say the classes of its images.
    """

    image_set: str
    path: str
    labels: LabelList | None = None


@dataclass(frozen=True)
class _File:
    """A result file with its columns and types, and the names of its pandas index."""

    results: PublishedResults
    columns: dict[str, str]
    index: tuple[str, ...]

    @cached_property
    def values(self) -> dict[str, dict[int, str]]:
        """Columns of results: by model, then by k; models in the order of the file."""
        found: dict[str, dict[int, str]] = {}
        for column in self.columns:
            if match := _COLUMN.fullmatch(column):
                found.setdefault(match[2], {})[int(match[1])] = column
        return found

    @property
    def class_origin(self) -> str | None:
        """Where the class of an image comes from: wnid, labels, query; None if nowhere."""
        if "wnid" in self.columns:
            return "wnid"
        if self.results.labels is not None and self.results.labels.images is not None:
            return "labels"
        return "query" if _QUERY in self.columns else None


def published_select(connection: duckdb.DuckDBPyConnection, results: Sequence[PublishedResults]) -> str:
    """A SELECT of the rows of raw.published_correctness: of all files, or empty if there is none.

    Registers the label lists on the connection as `published_image_classes`; reads `staging.queries` where a file has
    published queries alone. Raises PublishedResultsError, listing the problems of all files.
    """
    problems: list[str] = []
    files = []
    for each in results:
        try:
            file = _open(connection, each)
        except duckdb.Error as error:
            problems.append(f"{each.path}: not readable as Parquet: {str(error).splitlines()[0]}")
            continue
        problems += [f"{each.path}: {problem}" for problem in _layout_problems(file)]
        files.append(file)
    names = [each.image_set for each in results]
    problems += [f"{name}: the name of several result files" for name in sorted(set(names)) if names.count(name) > 1]
    if not problems:
        _register_classes(connection, results)
        problems += [problem for file in files for problem in _class_problems(connection, file)]
    if problems:
        raise PublishedResultsError("\n".join(problems))
    return "\nunion all by name\n".join(_select(file) for file in files) if files else _nothing()


def _open(connection: duckdb.DuckDBPyConnection, results: PublishedResults) -> _File:
    path = literal(results.path)
    columns = connection.execute(f"describe select * from read_parquet({path})").fetchall()
    ((pandas,),) = connection.execute(
        f"select max(decode(value)) filter (decode(key) = 'pandas') from parquet_kv_metadata({path})"
    ).fetchall()
    index = json.loads(pandas).get("index_columns", []) if pandas else []
    named = tuple(name for name in index if isinstance(name, str))
    return _File(results, {row[0]: row[1] for row in columns}, named)


def _layout_problems(file: _File) -> list[str]:
    problems = []
    if not file.values:
        return ["found no column top_{k}_is_correct_{model}; expected at least one: is it a file of published results?"]
    beyond = sorted({k for of_model in file.values.values() for k in of_model if not 1 <= k <= MAX_K})
    if beyond:
        problems.append(f"found columns for k = {', '.join(map(str, beyond))}; expected k from 1 to {MAX_K}: drop them")
    columns = [column for of_model in file.values.values() for column in of_model.values()]
    columns += [_IN_TEXT] if _IN_TEXT in file.columns else []
    strange = [column for column in columns if file.columns[column] not in ("BOOLEAN", _ALL_NULL, *_NUMBERS)]
    problems += [
        f"column {column}: found {file.columns[column]}, expected BOOLEAN or 0, 1 and NaN" for column in strange
    ]
    if file.class_origin is None:
        problems.append(
            f"nothing says the classes of its images; expected a column wnid or {_QUERY}, or a label list with images: "
            "name one as `labels`"
        )
    return problems


def _register_classes(connection: duckdb.DuckDBPyConnection, results: Sequence[PublishedResults]) -> None:
    import pyarrow as pa

    rows = [
        (each.image_set, image, wnid)
        for each in results
        if each.labels is not None
        for wnid, images in (each.labels.images or {}).items()
        for image in images
    ]
    table = pa.table(
        {
            name: pa.array([row[i] for row in rows], pa.string())
            for i, name in enumerate(("image_set", "image_id", "wnid"))
        }
    )
    connection.register(CLASSES_TABLE, table)


def _class_problems(connection: duckdb.DuckDBPyConnection, file: _File) -> list[str]:
    """Says how many images have no class."""
    ((missing, images, example),) = connection.execute(
        "select count(*) filter (wnid is null), count(*), any_value(image_id) filter (wnid is null) "
        f"from ({_images(file)})"
    ).fetchall()
    if not missing:
        return []
    origin = {
        "wnid": "column wnid",
        "labels": "label list",
        "query": f"column {_QUERY}, by the queries of this taxonomy",
    }[file.class_origin or ""]
    return [
        f"{file.results.path}: {missing:,} of {images:,} images have no class by its {origin}, such as {example!r}; "
        "expected a wnid for each: name a label list as `labels`, or correct it"
    ]


def _images(file: _File) -> str:
    """A SELECT of image_id, wnid, has_name_in_text and the columns of results as booleans."""
    columns = [column for of_model in file.values.values() for column in of_model.values()]
    values = ", ".join(f"{_boolean(file, column)} as {_quoted(column)}" for column in columns)
    in_text = f"{_boolean(file, _IN_TEXT)}" if _IN_TEXT in file.columns else "null::boolean"
    index = next((name for name in (*file.index, *_INDEX) if name in file.columns), "file_row_number")
    origin = {"wnid": "f.wnid::varchar", "labels": "c.wnid", "query": "q.wnid"}[file.class_origin or ""]
    join = {
        "labels": f" left join {CLASSES_TABLE} c on c.image_set = {literal(file.results.image_set)} "
        f"and c.image_id = f.{_quoted(index)}::varchar",
        "query": f" left join staging.queries q on q.template = 'name_def' and q.query = f.{_quoted(_QUERY)}",
    }.get(file.class_origin or "", "")
    return (
        f"select f.{_quoted(index)}::varchar as image_id, {origin} as wnid, {in_text} as has_name_in_text, {values} "
        f"from read_parquet({literal(file.results.path)}, file_row_number = true) f{join}"
    )


def _select(file: _File) -> str:
    others = [
        _quoted(column)
        for model, of_model in file.values.items()
        if not _is_zero_shot(model)
        for column in of_model.values()
    ]
    known = f"coalesce({', '.join(others)}) is not null" if others else "null::boolean"
    models = ", ".join(_struct(model, of_model) for model, of_model in file.values.items())
    return (
        f"select {_COLUMNS} from (select {literal(file.results.image_set)} as image_set, image_id, wnid, "
        f"{known} as is_known_to_others, has_name_in_text, unnest([{models}], recursive := true) "
        f"from ({_images(file)}))"
    )


def _struct(model: str, of_model: dict[int, str]) -> str:
    values = ", ".join(
        f"'top_{k}_is_correct': {_quoted(of_model[k]) if k in of_model else 'null::boolean'}"
        for k in range(1, MAX_K + 1)
    )
    return f"{{'model': {literal(model)}, 'is_zero_shot': {str(_is_zero_shot(model)).lower()}, {values}}}"


def _boolean(file: _File, column: str) -> str:
    """A column as true, false or null; the not-a-number of pandas is null, never a value."""
    name = f"f.{_quoted(column)}"
    return name if file.columns[column] == "BOOLEAN" else f"case when not isnan({name}::double) then {name} <> 0 end"


def _is_zero_shot(model: str) -> bool:
    return model.startswith(_ZERO_SHOT)


def _nothing() -> str:
    return f"select {_COLUMNS} from (select {', '.join(f'null as {name}' for name in _COLUMNS.split(', '))}) limit 0"


def _quoted(column: str) -> str:
    """A column's name as a quoted SQL identifier, dots and all (`identifier` parts schema and table at dots)."""
    return '"' + column.replace('"', '""') + '"'
