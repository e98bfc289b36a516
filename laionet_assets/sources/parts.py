"""Parts: one file of a source as one row of raw.parts, and the numbers that make its sample ids.

Belongs here: ordinals, inspecting a file, the rows of raw.parts. Does not belong here: the SELECTs over the rows of a
part (`reading`).
"""

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import duckdb

from laionet_assets.sources.adapters import adapter_named
from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.discovery import PartFile, filesystem_of
from laionet_assets.sources.errors import DamagedRowsError, SourceError
from laionet_assets.sources.file_format import (
    Reading,
    Rejected,
    SourceColumn,
    column_at,
    reading_file,
)
from laionet_assets.sources.formats import PARQUET, format_of
from laionet_assets.sources.rejects import assert_few, cut_rows, rejected_lines
from laionet_assets.sources.resolution import Resolution, choose, resolve
from laionet_assets.sources.text_files import Csv, TextFormat
from laionet_assets.warehouse.sql import identifier

SAMPLES_PER_PART = 100_000_000
MAX_ORDINAL = 2**63 // SAMPLES_PER_PART - 1
_NUMBERED = re.compile(r"^(?P<kind>(?:part|train|metadata)[-_])?(?P<number>\d{1,11})(?P<rest>$|[-_.].*$)", re.DOTALL)
_MORE_NUMBERS = re.compile(r"^[-_.]\d+(?:$|[-_.])")
_REJECTS = "laionet_rejects"
_CHUNK_BYTES = 8 * 2**20
_FURTHER_FILE = re.compile(r"-c0*[1-9]\d*$")


@dataclass(frozen=True)
class Breach:
    """How many samples of a part break a bound."""

    reason: str
    samples: int


@dataclass(frozen=True)
class Mapped:
    """A normalised column, and the column of the file that the settings say it is read from."""

    column: str
    origin: str


@dataclass(frozen=True)
class PartRecord:
    """One row of raw.parts: all that is needed to read the part again without opening it first.

    rows = pairs + quarantined. A sample that breaks several bounds counts once in `quarantined` and once in each of its
    `breaches`. `rejected` lines of a text file are quarantined too: their numbers come after those of the rows.
    """

    source: str
    part: str
    ordinal: int
    path: str
    adapter: str
    source_columns: tuple[SourceColumn, ...]
    mapping: tuple[Mapped, ...]
    reading: Reading
    size_bytes: int
    signature: str
    fingerprint: str
    rows: int
    pairs: int
    quarantined: int
    captions_missing: int
    breaches: tuple[Breach, ...]
    rejected: tuple[Rejected, ...]

    @property
    def resolution(self) -> Resolution:
        """How the normalised columns are read from the file."""
        return resolve(
            adapter_named(self.adapter),
            self.source_columns,
            path=self.path,
            reading=self.reading,
            mapping={each.column: each.origin for each in self.mapping},
        )

    @property
    def first_sample_id(self) -> int:
        return self.ordinal * SAMPLES_PER_PART


def number_in_name(part: str) -> int | None:
    """The number that the name of a part gives it: of `part-00007`, `train_00007-of-00128`, `00007`; None without one.

    A date is no number, nor is the name of a file in hive folders (`lang=en/part-0`), nor of a further file that the
    same task of a cluster wrote (`part-00007-...-c001`).
    """
    match = _NUMBERED.match(part)
    if match is None or _FURTHER_FILE.search(part) or (not match["kind"] and _MORE_NUMBERS.match(match["rest"])):
        return None
    return int(match["number"])


def assign_ordinals(existing: Mapping[str, int], new: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Ordinals of the parts of a source: the ones there are, unchanged, and one for every new part; and by name why a
    part gets none.

    A new part's ordinal is the number in its name. Where there is none, or another part has it, it is the first 35 bits
    of the sha256 of the name, so that it does not depend on what was seen before. Ordinals of parts that are gone
    belong in `existing`: none is ever given twice.
    """
    ordinals = dict(existing)
    holders = {ordinal: part for part, ordinal in existing.items()}
    refused: dict[str, str] = {}
    for part in sorted(set(new) - existing.keys(), key=lambda part: (number_in_name(part) is None, part)):
        number = number_in_name(part)
        ordinal = number if number is not None and number <= MAX_ORDINAL and number not in holders else _hashed(part)
        if ordinal in holders:
            refused[part] = f"its number {ordinal} is taken by {holders[ordinal]}; rename the file"
        else:
            ordinals[part], holders[ordinal] = ordinal, part
    return ordinals, refused


def _hashed(part: str) -> int:
    return int.from_bytes(hashlib.sha256(part.encode()).digest()[:5], "big") >> 5


def detect_adapter(
    connection: duckdb.DuckDBPyConnection,
    file: PartFile,
    *,
    adapter: str = "auto",
    mapping: Mapping[str, str] | None = None,
) -> Adapter:
    """The adapter of that name, or for `auto` the one that the columns of the file identify. Raises SourceError."""
    return choose(adapter, _described(connection, file.path)[0], path=file.path, mapping=mapping)


def inspect_part(
    connection: duckdb.DuckDBPyConnection,
    file: PartFile,
    *,
    adapter: str,
    ordinal: int,
    fingerprint: str,
    mapping: Mapping[str, str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> PartRecord:
    """Read a file once, streaming, and say what is in it. `adapter` is a name or `auto`; `mapping`: normalised column
    -> column of the file. A file with rows that cannot be read is read again in a more lenient way, which sets them
    apart.

    Raises SourceError if the file is damaged, has more rows than a part may have, or columns that the adapter cannot
    read.
    """
    if file.path.lower().endswith(".gz"):
        _assert_gzip_is_whole(file.path, storage_options)
    columns, reading = _described(connection, file.path)
    chosen = choose(adapter, columns, path=file.path, mapping=mapping)
    resolution = resolve(chosen, columns, path=file.path, reading=reading, mapping=mapping)
    counts = _counted(connection, file, resolution, storage_options)
    rows = counts.sound + len(counts.rejected)
    check_row_count(rows, path=file.path)
    samples = Counter(counts.broken)
    samples.update(each.reason for each in counts.rejected)
    return PartRecord(
        source=file.source,
        part=file.part,
        ordinal=ordinal,
        path=PARQUET.path_in_relations(connection, file.path) if resolution.format is PARQUET else file.path,
        adapter=chosen.name,
        source_columns=resolution.columns,
        mapping=tuple(Mapped(column, origin) for column, origin in (mapping or {}).items()),
        reading=counts.reading,
        size_bytes=file.size_bytes,
        signature=file.signature,
        fingerprint=fingerprint,
        rows=rows,
        pairs=counts.pairs,
        quarantined=rows - counts.pairs,
        captions_missing=samples["caption_missing"],
        breaches=tuple(Breach(reason, count) for reason, count in samples.items() if count),
        rejected=counts.rejected,
    )


@dataclass(frozen=True)
class _Counts:
    """Rows of a file, how it had to be read for that, and how many rows break each bound."""

    reading: Reading
    sound: int
    pairs: int
    broken: Mapping[str, int]
    rejected: tuple[Rejected, ...] = ()


def _counted(
    connection: duckdb.DuckDBPyConnection,
    file: PartFile,
    resolution: Resolution,
    storage_options: Mapping[str, Any] | None,
) -> _Counts:
    """Count in the strictest way that reads the file. Raises SourceError if none does."""
    complaints: list[SourceError] = []
    for mode in resolution.format.modes:
        tried = replace(resolution, reading=replace(resolution.reading, mode=mode))
        if isinstance(tried.format, Csv) and mode == "loose":
            return _counted_by_lines(connection, file, tried, tried.format, storage_options)
        text_format = tried.format if isinstance(tried.format, TextFormat) and mode != "strict" else None
        try:
            counts = _counts(connection, file, tried, rejects=_REJECTS if text_format else None)
        except DamagedRowsError as error:
            complaints.append(error)
            continue
        if text_format is None:
            return counts
        rejected = rejected_lines(connection, _REJECTS, path=file.path)
        if isinstance(text_format, Csv):
            accounts = text_format.accounts(_chunks(file.path, storage_options), tried.columns, tried.reading, ())
            if not accounts.agree_with(counts.sound, rejected):
                continue
        if mode == "loose" and text_format.has_line_rows:
            cut = cut_rows(_chunks(file.path, storage_options), rejected, path=file.path)
            counts = _counts(connection, file, replace(tried, reading=replace(tried.reading, cut_rows=cut)))
        return replace(counts, rejected=rejected)
    raise complaints[0]


def _counted_by_lines(
    connection: duckdb.DuckDBPyConnection,
    file: PartFile,
    resolution: Resolution,
    csv: Csv,
    storage_options: Mapping[str, Any] | None,
) -> _Counts:
    """Count a damaged CSV by its lines. Raises SourceError unless DuckDB finds the lines, and makes the rows, that the
    bytes of the file have.
    """
    lines = csv.count_lines(connection, file.path, resolution.reading, rejects=_REJECTS)
    gone = rejected_lines(connection, _REJECTS, path=file.path)
    accounts = csv.accounts(_chunks(file.path, storage_options), resolution.columns, resolution.reading, gone)
    rejected = sorted((*gone, *accounts.rejected), key=lambda each: each.line)
    assert_few([each.line for each in rejected], path=file.path)
    if accounts.lines != lines + len(gone):
        raise SourceError(
            f"{file.path}: found {accounts.lines:,} lines, of which {lines + len(gone):,} can be told apart; expected "
            "lines that end in \\n or \\r\\n, and quotes that are closed. Write the file again."
        )
    reading = replace(resolution.reading, cut_rows=tuple(accounts.cut_rows))
    counts = _counts(connection, file, replace(resolution, reading=reading))
    if counts.sound != accounts.rows:
        raise SourceError(
            f"{file.path}: found {accounts.rows:,} rows, of which {counts.sound:,} can be read; expected quotes that "
            "are closed. Write the file again."
        )
    return replace(counts, rejected=tuple(rejected))


def _counts(
    connection: duckdb.DuckDBPyConnection, file: PartFile, resolution: Resolution, *, rejects: str | None = None
) -> _Counts:
    """Count in one way. All text that is ever read of the file is read here, whether or not a bound asks for it."""
    bounds = resolution.bounds
    holds = [bound.holds(resolution) for bound in bounds]
    counts = [f"count(*) filter (where not {condition})" for condition in holds]
    texts = [
        f"sum(strlen({column_at(place)}))" for place in resolution.used if resolution.columns[place].type == "VARCHAR"
    ]
    with reading_file(file.path):
        row = connection.execute(
            f"select count(*), count(*) filter (where {' and '.join(holds)}), {', '.join((*counts, *texts))} "
            f"from {resolution.relation(file.path, rejects=rejects)}"
        ).fetchall()[0]
    sound, pairs, *broken = row
    return _Counts(
        resolution.reading, sound, pairs, {bound.reason: count for bound, count in zip(bounds, broken, strict=False)}
    )


def _assert_gzip_is_whole(path: str, storage_options: Mapping[str, Any] | None) -> None:
    """Unpack a gzip to its end, for DuckDB does not look at the sum behind it: what is damaged would be rows, and other
    rows each time it is read. Raises SourceError.
    """
    try:
        for _ in _chunks(path, storage_options):
            pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(
            f"{path}: cannot be read ({error}). Copy the file again, or take it out of the source."
        ) from None


def _chunks(path: str, storage_options: Mapping[str, Any] | None) -> Iterator[bytes]:
    import pyarrow as pa

    filesystem, inside = filesystem_of(path, storage_options=storage_options)
    is_zstd = inside.lower().endswith(".zst")  # which fsspec reads with a further package only
    with filesystem.open(inside, "rb", compression=None if is_zstd else "infer") as stream:
        unpacked = pa.CompressedInputStream(stream, "zstd") if is_zstd else stream
        while chunk := unpacked.read(_CHUNK_BYTES):
            yield chunk


def check_row_count(rows: int, *, path: str) -> None:
    """Raises SourceError unless a part may have so many rows: few enough that sample ids of parts stay apart."""
    if rows >= SAMPLES_PER_PART:
        raise SourceError(
            f"{path}: found {rows:,} rows, expected fewer than {SAMPLES_PER_PART:,} a part; split the file"
        )


def read_records(connection: duckdb.DuckDBPyConnection, relation: str = "raw.parts") -> list[PartRecord]:
    """Rows of raw.parts, or of another relation (a table, a view, a table function) with its columns, sorted by source
    and part.
    """
    names = [field.name for field in fields(PartRecord)]
    columns = ", ".join(map(identifier, names))
    rows = connection.execute(f"select {columns} from {relation} order by source, part").fetchall()
    return [_record(dict(zip(names, row, strict=True))) for row in rows]


def _record(row: Mapping[str, Any]) -> PartRecord:
    values = dict(row)
    for name, kind in (
        ("source_columns", SourceColumn),
        ("mapping", Mapped),
        ("breaches", Breach),
        ("rejected", Rejected),
    ):
        values[name] = tuple(kind(**each) for each in row[name] or ())
    values["reading"] = Reading(**{**row["reading"], "cut_rows": tuple(row["reading"]["cut_rows"] or ())})
    return PartRecord(**values)


def _described(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
    form = format_of(path)
    if form is None:
        raise SourceError(f"{path}: found a file of another format, expected .parquet, .tsv, .csv or .jsonl")
    return form.describe(connection, path)
