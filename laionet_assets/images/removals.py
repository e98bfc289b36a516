"""Removals: what may not be here, made gone everywhere and kept from coming back.

Belongs here: the list that a user keeps, adding tombstones, deleting what they name from the image store, and the proof
that nothing is left. Does not belong here: reading tombstones (`tombstones`), how a shard is rewritten
(`shard_writer`), block lists applied during a fetch (`fetch`; they may ask the same tombstones).

A removal names an address, a content or a sample. It reaches the picture wherever it was found: the contents of the
samples it names go, and with them every other sample that shows the same bytes. A tombstone is a hash or a key, a
reason and a time; addresses and bytes are never kept. Tombstones are only ever added: they lie beside the shards
(`<location>/removals.parquet`), so that every writer of the store sees them.

    kind      value
    url_hash  sha256 of the address as published (UTF-8), in hexadecimal: what `sha256(url)` is in DuckDB; or as asked
    sha256    sha256 of the bytes, in hexadecimal
    sample    <source>/<sample_id>
"""

import csv
import fcntl
import hashlib
import io
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.errors import UserError
from laionet_assets.images.fetch.urls import BadUrl, parse_url
from laionet_assets.images.tombstones import (
    TOMBSTONES_FILE,
    Kind,
    Tombstone,
    read_tombstones,
    tombstones_path,
)
from laionet_assets.warehouse.lake import Lake, replace
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import digest

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from laionet_assets.images.store import ImageStore

_HASH = re.compile(r"[0-9a-f]{64}")
_SAMPLE = re.compile(r"[^/]+/\d+")


class RemovalsError(UserError):
    """The list of removals cannot be used. The message names every wrong line."""


@dataclass(frozen=True, order=True)
class Removal:
    """A line of the user's list, with its address hashed, or what it led to.

    `asked_as` stands for the address as it is asked (quoted), where that is another one. `line` is the line's number in
    the list.
    """

    kind: Kind
    value: str
    reason: str
    asked_as: str | None = field(default=None, compare=False, repr=False)
    line: int | None = field(default=None, compare=False, repr=False)

    @property
    def forms(self) -> "list[Removal]":
        """It, and the same for the address as it is asked."""
        return [self] if self.asked_as is None else [self, Removal("url_hash", self.asked_as, self.reason)]


@dataclass(frozen=True)
class RemovalReport:
    """What `remove` did. `busy` parts are being written: run again when they are done."""

    tombstones: tuple[Tombstone, ...]
    images: int
    size_bytes: int
    busy: tuple[PartKey, ...]


@dataclass(frozen=True, order=True)
class Leftover:
    """Something removed that is still there: `count` rows or files of it at `where`."""

    where: str
    kind: Kind
    value: str
    count: int


@dataclass(frozen=True)
class Removals:
    """Tombstones to ask: what a fetch checks before a request and after the bytes arrive."""

    tombstones: tuple[Tombstone, ...]

    def __post_init__(self) -> None:
        reasons = {(tombstone.kind, tombstone.value): tombstone.reason for tombstone in self.tombstones}
        object.__setattr__(self, "_reasons", reasons)
        object.__setattr__(self, "_has_addresses", any(kind == "url_hash" for kind, _ in reasons))

    def reason(
        self,
        *,
        url: str | None = None,
        hashed_url: str | None = None,
        sha256: str | None = None,
        sample: tuple[str, int] | None = None,
    ) -> str | None:
        """Why something must not be taken in, or None. `hashed_url` is an address as `url_hash` gives it, `sample` is
        (source, sample_id). An address is looked for as published; of `reason_as_asked`, as it is asked.
        """
        keys = [
            ("url_hash", url_hash(url) if url is not None else hashed_url),
            ("sha256", sha256),
            ("sample", sample_key(*sample) if sample is not None else None),
        ]
        reasons: Mapping[tuple[str, str | None], str] = self._reasons  # type: ignore[attr-defined]
        return next((reasons[key] for key in keys if key in reasons), None)

    def reason_as_asked(self, url: str) -> str | None:
        """Why an address must not be asked, in the form in which it would be; None if nothing is removed by address."""
        if not self._has_addresses:  # type: ignore[attr-defined]
            return None
        return next((found for each in url_hashes(url) if (found := self.reason(hashed_url=each)) is not None), None)

    def hashes(self, kind: Kind) -> frozenset[str]:
        """Values of the tombstones of a kind: hashes, or keys of samples."""
        return frozenset(tombstone.value for tombstone in self.tombstones if tombstone.kind == kind)


def url_hash(url: str) -> str:
    """What stands for an address in a tombstone."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def url_hashes(url: str) -> set[str]:
    """What may stand for an address in a tombstone: of it as published, and as it is asked."""
    try:
        return {url_hash(url), url_hash(str(parse_url(url)))}
    except BadUrl:
        return {url_hash(url)}


def sample_key(source: str, sample_id: int) -> str:
    """What stands for a sample in a tombstone."""
    return f"{source}/{sample_id}"


def read_removals(path: Path) -> list[Removal]:
    """The user's list: a CSV file with the columns kind, value, reason.

    Kinds are url_hash, sha256, sample, and url, whose value is the address itself: it is hashed here and goes no
    further. Raises RemovalsError listing all wrong lines, those of too many or too few fields among them; no message
    shows an address.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RemovalsError(f"removals {path}: {error}; expected a CSV file with columns kind, value, reason") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    removals, problems = dict[Removal, None](), []
    try:
        names = next(reader, [])
        if not {"kind", "value", "reason"} <= set(names):
            raise RemovalsError(
                f"removals {path}: found columns {', '.join(names) or '(none)'}; expected kind, value, reason"
            )
        for values in filter(None, reader):
            try:
                removals.setdefault(_removal(names, values, reader.line_num))
            except ValueError as error:
                problems.append(f"  line {reader.line_num}: {error}")
    except csv.Error as error:
        problems.append(f"  line {reader.line_num}: {error}; expected quotes around a whole field, doubled within it")
    if problems:
        raise RemovalsError(f"removals {path}: {len(problems)} wrong\n" + "\n".join(problems))
    return sorted(removals)


def unmatched(listed: Iterable[Removal], reached: Iterable[tuple[str, int, str | None]]) -> list[Removal]:
    """Lines that name no sample of (source, sample_id, url) in `reached`: all that removals reach by key or address.

    Contents are left out: a picture with these bytes may come at any time.
    """
    met: set[tuple[str, str]] = set()
    for source, sample_id, url in reached:
        met.add(("sample", sample_key(source, sample_id)))
        met |= {("url_hash", value) for value in (url_hashes(url) if url is not None else ())}
    return [
        line
        for line in listed
        if line.kind != "sha256" and not any((form.kind, form.value) in met for form in line.forms)
    ]


def tombstones_table(tombstones: Iterable[Tombstone]) -> "pa.Table":
    """Tombstones as rows, one a tombstone."""
    import pyarrow as pa

    rows = list(tombstones)
    return pa.table({field.name: [getattr(row, field.name) for row in rows] for field in fields(Tombstone)})


def spread(
    removals: Collection[Removal],
    connection: "duckdb.DuckDBPyConnection",
    images: str = "select source, sample_id, url, sha256 from core.images",
) -> list[Removal]:
    """The removals and what they lead to: contents and addresses of the samples named, all samples of these contents.

    `images` selects source, sample_id, url and sha256 of everything fetched so far.
    """
    import pyarrow as pa

    names = ("kind", "value", "reason")
    requested = pa.table({name: pa.array([getattr(r, name) for r in removals], pa.string()) for name in names})
    connection.register("removals_requested", requested)
    try:
        rows = connection.execute(_SPREAD.format(images=images)).fetchall()
    finally:
        connection.unregister("removals_requested")
    return sorted({Removal(*row) for row in rows})


def remove(
    store: "ImageStore",
    removals: Collection[Removal],
    requested: Collection[Removal] | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> RemovalReport:
    """Write the tombstones, then delete the contents they name from every shard, published or staged.

    `removals` is what `spread` gives; `requested` is the user's list, all of `removals` if None. May be repeated at
    any time: a tombstone that is there keeps its reason and time. A process killed between the two steps leaves the
    tombstones, and the next call does the rest.
    """
    asked = {(r.kind, r.value) for r in (removals if requested is None else requested)}
    at = now()
    added = [Tombstone(r.kind, r.value, r.reason, (r.kind, r.value) in asked, at) for r in sorted(removals)]
    with _locked(store.lake):
        old = read_tombstones(store.lake)
        merged = {(t.kind, t.value): t for t in (*reversed(added), *old)}
        new = tuple(sorted(merged.values()))
        if new != tuple(old):
            _write_tombstones(store.lake, new)
    gone = store.discard(frozenset(t.value for t in new if t.kind == "sha256"))
    return RemovalReport(new, gone.images, gone.size_bytes, gone.busy)


def leftovers(
    store: "ImageStore",
    connection: "duckdb.DuckDBPyConnection | None" = None,
    relations: Mapping[str, str] | None = None,
) -> list[Leftover]:
    """What is removed and still there; empty when nothing is left.

    Of the store, every shard is opened, listed by an index or not, staged ones too, and the names in it are compared
    with the tombstones; so are the indexes and the journals. Of each relation (name to SELECT: a table, an export, a
    snapshot), the columns url, sha256, source with sample_id, and image_id (`<source>/<sample_id>` in a LAIONet set)
    are compared, those that it has. Raises RemovalsError for a relation that has none of them.
    """
    tombstones = read_tombstones(store.lake)
    removed = {tombstone.value for tombstone in tombstones if tombstone.kind == "sha256"}
    traces = Counter((where, sha256) for where, sha256 in store.traces() if sha256 in removed)
    found = [Leftover(where, "sha256", sha256, count) for (where, sha256), count in traces.items()]
    if relations:
        if connection is None:
            raise ValueError("relations need a connection")
        connection.register("removals_known", tombstones_table(tombstones))
        try:
            for name, select in relations.items():
                found += _in_relation(connection, name, select)
        finally:
            connection.unregister("removals_known")
    return sorted(found)


_SPREAD = """
with images as ({images}),

hits as (
    select i.*, r.reason from images i join removals_requested r on r.kind = 'url_hash' and r.value = sha256(i.url)
    union all
    select i.*, r.reason from images i join removals_requested r on r.kind = 'sha256' and r.value = i.sha256
    union all
    select i.*, r.reason
    from images i join removals_requested r on r.kind = 'sample' and r.value = i.source || '/' || i.sample_id
),

contents as (
    select sha256, reason from hits where sha256 is not null
    union
    select value as sha256, reason from removals_requested where kind = 'sha256'
),

reached as (
    select 0 as distance, kind, value, reason from removals_requested
    union all
    select 1, 'url_hash', sha256(url), reason from hits where url is not null
    union all
    select 1, 'sample', source || '/' || sample_id, reason from hits
    union all
    select 1, 'sha256', sha256, reason from contents
    union all
    select 2, 'sample', i.source || '/' || i.sample_id, c.reason from images i join contents c using (sha256)
)

select kind, value, arg_min(reason, (distance, reason)) as reason from reached group by kind, value
"""

_COMPARISONS = (
    (("url",), "select 'url_hash' as kind, sha256(url) as value from relation"),
    (("sha256",), "select 'sha256' as kind, sha256 as value from relation"),
    (("source", "sample_id"), "select 'sample' as kind, source || '/' || sample_id as value from relation"),
    (("image_id",), "select 'sample' as kind, image_id as value from relation"),
)


def _in_relation(connection: "duckdb.DuckDBPyConnection", name: str, select: str) -> Iterator[Leftover]:
    columns = {row[0] for row in connection.execute(f"describe {select}").fetchall()}
    parts = [sql for needed, sql in _COMPARISONS if columns.issuperset(needed)]
    if not parts:
        raise RemovalsError(
            f"{name}: found columns {', '.join(sorted(columns))}; expected url, sha256, image_id, or "
            "source with sample_id, by which removals can be compared. Select one of them."
        )
    rows = connection.execute(
        f"with relation as ({select}), traces as ({' union all '.join(parts)}) "
        "select kind, value, count(*) from traces join removals_known using (kind, value) group by kind, value"
    ).fetchall()
    for kind, value, count in rows:
        yield Leftover(name, kind, value, count)


def _removal(names: Sequence[str], values: Sequence[str], line: int) -> Removal:
    """The removal of a line. Raises ValueError, which does not show an address."""
    if len(values) != len(names):
        raise ValueError(
            f"found {len(values)} fields, expected {len(names)} ({', '.join(names)}); "
            "put quotes around a field that has a comma in it"
        )
    if any("\n" in value or "\r" in value for value in values):
        raise ValueError("found a field that goes over several lines; a quote is opened and not closed where it should")
    row = dict(zip(names, values, strict=True))
    kind, value, reason = (row[name].strip() for name in ("kind", "value", "reason"))
    if not reason:
        raise ValueError("found no reason; expected a few words, such as: request of the person shown")
    if kind == "url":
        if not value:
            raise ValueError("found no address")
        asked_as = url_hashes(value) - {url_hash(value)}
        return Removal("url_hash", url_hash(value), reason, next(iter(asked_as), None), line)
    if kind in ("url_hash", "sha256"):
        if not _HASH.fullmatch(value.lower()):
            raise ValueError(f"kind {kind} has no sha256 as its value; expected 64 hexadecimal digits")
        return Removal(kind, value.lower(), reason, line=line)  # type: ignore[arg-type]  # one of the two
    if kind == "sample":
        if not _SAMPLE.fullmatch(value):
            raise ValueError("kind sample has no sample as its value; expected <source>/<sample_id>")
        return Removal("sample", _canonical(value), reason, line=line)
    raise ValueError(f"found kind {kind!r}; expected url, url_hash, sha256 or sample")


def _canonical(sample: str) -> str:
    """A sample's key without leading zeros in its number."""
    source, _, number = sample.partition("/")
    return sample_key(source, int(number))


def _write_tombstones(lake: Lake, tombstones: Collection[Tombstone]) -> None:
    import pyarrow.parquet as pq

    path = tombstones_path(lake)
    with tempfile.TemporaryDirectory(dir=lake.root if lake.is_local else None, prefix=".removals.") as folder:
        staged = Path(folder) / TOMBSTONES_FILE
        pq.write_table(tombstones_table(tombstones), staged, compression="zstd")
        if lake.is_local:
            replace(staged, Path(path))
        else:
            lake.filesystem.put_file(str(staged), path)


@contextmanager
def _locked(lake: Lake) -> Iterator[None]:
    """One process of this host at a time adds tombstones of a store."""
    folder = Path(lake.root) if lake.is_local else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    name = ".removals.lock" if lake.is_local else f"laionet-removals-{digest(lake.root)}.lock"
    with (folder / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
