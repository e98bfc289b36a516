"""Discovery: from a path in the settings to the files that are its parts, and what tells that one has changed.

Belongs here: globs, folders and URLs of fsspec filesystems, names of parts, signatures and fingerprints. Does not
belong here: what is in a file.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.references import resolved
from laionet_assets.sources.adapters import AUTO, adapter_named
from laionet_assets.sources.errors import SourceError
from laionet_assets.sources.formats import FORMATS

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Resolver = Callable[[str], str | os.PathLike[str]]

_CHUNK_BYTES = 8 * 2**20
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_MAGIC = re.compile(r"[*?\[]")
_FILE_ENDINGS = tuple(ending for each in FORMATS for ending in each.endings)
_NAME_ENDINGS = re.compile(
    r"\.(parquet|tsv|csv|snappy|gz|gzip|zst|zstd|lz4|lz4raw|br|brotli|lzo|uncompressed)$", re.IGNORECASE
)
_STRONG_CHECKSUMS = {"s3": "ETag", "s3a": "ETag", "gs": "md5Hash", "gcs": "md5Hash"}


@dataclass(frozen=True)
class PartFile:
    """A file of a source. `path` is absolute or a URL, as DuckDB reads it; `signature` changes, as a rule, whenever the
    content does.
    """

    source: str
    part: str
    path: str
    size_bytes: int
    signature: str


def resolve_path(path: str, *, resolvers: Mapping[str, Resolver]) -> str:
    """The path behind a URL whose scheme the project itself provides (`sample://web`); any other path as it is.

    `resolvers`: scheme -> function from what follows `://` to a path.
    """
    match = _SCHEME.match(path)
    if match is None or match[1] not in resolvers:
        return path
    return os.fspath(resolvers[match[1]](path[match.end() :]))


def filesystem_of(path: str, *, storage_options: Mapping[str, Any] | None = None) -> tuple["AbstractFileSystem", str]:
    """The fsspec filesystem of a path or URL, and the path inside it. Raises SourceError for an unknown or uninstalled
    filesystem, UserError for an option that names an environment variable that is not set.
    """
    from fsspec.core import url_to_fs

    if _SCHEME.match(path) is None:
        path = os.path.abspath(os.path.expanduser(path))
    try:
        filesystem, inside = url_to_fs(path, **resolved(storage_options or {}, of=path))
    except (ValueError, ImportError) as error:
        raise SourceError(f"{path}: this kind of path cannot be read: {error}") from None
    return filesystem, inside


def discover(
    source: str, adapter: str, path: str, *, storage_options: Mapping[str, Any] | None = None
) -> list[PartFile]:
    """The files of a source, sorted by part.

    `path` is a file, a folder (its own files, not those of folders in it) or a glob (`**` goes into folders), local or
    on an fsspec filesystem. Files of other formats than the adapter's, dot-files, `.crc` files and everything that
    starts with an underscore are passed over. Raises SourceError if nothing is found, or if two files are the same
    part.
    """
    endings = _FILE_ENDINGS if adapter == AUTO else adapter_named(adapter).endings
    filesystem, inside = filesystem_of(path, storage_options=storage_options)
    entries = _entries(filesystem, inside, shown=path)
    names = [name for name in entries if name.lower().endswith(endings)]
    if not names:
        raise SourceError(_nothing_found(source, path, endings, entries))
    parts: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts[part_name(name)].append(name)
    twins = {part: found for part, found in sorted(parts.items()) if len(found) > 1}
    if twins:
        lines = [f"  {part}: {', '.join(sorted(found))}" for part, found in twins.items()]
        raise SourceError(
            f"source {source}: several files are the same part; rename them, or make them sources of their own\n"
            + "\n".join(lines)
        )
    return [_part_file(source, part, filesystem, found[0], entries[found[0]]) for part, found in sorted(parts.items())]


def look_at(file: PartFile, *, storage_options: Mapping[str, Any] | None = None) -> PartFile | None:
    """The file of a part as it is now; None if it is gone."""
    filesystem, inside = filesystem_of(file.path, storage_options=storage_options)
    if _protocol(filesystem) != "file":
        filesystem.invalidate_cache()
    try:
        return _part_file(file.source, file.part, filesystem, inside, filesystem.info(inside))
    except FileNotFoundError:
        return None


def part_name(path: str) -> str:
    """Name of the part that a file is: the file's name without folder and format endings (part-00000.snappy.parquet is
    part-00000).
    """
    name = path.rstrip("/").rsplit("/", 1)[-1]
    while (stem := _NAME_ENDINGS.sub("", name)) not in (name, ""):
        name = stem
    return name


def fingerprint(file: PartFile, *, storage_options: Mapping[str, Any] | None = None) -> str:
    """What identifies the content of a file: `<method>:<digest>`.

    The checksum that an object store keeps of the content where it does (S3's ETag, Google's MD5), else BLAKE2b over
    all bytes, which reads the file once, 8 MiB at a time. Raises FileNotFoundError if the file is gone.
    """
    filesystem, inside = filesystem_of(file.path, storage_options=storage_options)
    key = _STRONG_CHECKSUMS.get(_protocol(filesystem))
    if key is not None:
        checksum = str(filesystem.info(inside, refresh=True).get(key) or "")
        if checksum and not checksum.startswith("W/"):
            return f"{key.lower()}:{checksum.strip(chr(34))}"
    digest = blake2b(digest_size=32)
    with filesystem.open(inside, "rb", block_size=_CHUNK_BYTES) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return f"blake2b:{digest.hexdigest()}"


def _entries(filesystem: "AbstractFileSystem", inside: str, *, shown: str) -> dict[str, Mapping[str, Any]]:
    """Files behind a path, whatever their format, by their path in the filesystem."""
    if _protocol(filesystem) != "file":
        filesystem.invalidate_cache()
    try:
        if filesystem.isfile(inside):
            return {inside: filesystem.info(inside)}
        if filesystem.isdir(inside):
            root = inside.rstrip("/")
            found = {entry["name"]: entry for entry in filesystem.ls(inside, detail=True)}
        elif _MAGIC.search(inside):
            root = inside[: _MAGIC.search(inside).start()].rpartition("/")[0]  # type: ignore[union-attr]
            found = filesystem.glob(inside, detail=True)
        else:
            raise SourceError(f"{shown}: there is nothing there; expected a file, a folder or a glob")
    except FileNotFoundError:
        raise SourceError(f"{shown}: there is nothing there; expected a file, a folder or a glob") from None
    except PermissionError as error:
        raise SourceError(f"{shown}: may not be read ({error}); check the permissions or the storage_options") from None
    return {
        name: entry
        for name, entry in found.items()
        if entry["type"] != "directory" and not name.endswith("/") and not _is_ignored(name[len(root) :])
    }


def _is_ignored(path: str) -> bool:
    steps = [step for step in path.split("/") if step]
    return any(step.startswith((".", "_")) for step in steps) or path.endswith(".crc")


def _nothing_found(source: str, path: str, endings: Sequence[str], entries: Mapping[str, object]) -> str:
    what = f"source {source}: no part found; looked for files ending in {', '.join(endings)} at {path}"
    if not entries:
        nested = f"{path.rstrip('/')}/**/*{endings[0]}"
        return f"{what} and found no files at all; files in folders inside it need a glob such as {nested}"
    others = sorted(name.rsplit("/", 1)[-1] for name in entries)
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"{what} and found only {', '.join(others[:5])}{more}"


def _part_file(
    source: str, part: str, filesystem: "AbstractFileSystem", name: str, entry: Mapping[str, Any]
) -> PartFile:
    if _protocol(filesystem) == "file":
        status = Path(name).stat()
        return PartFile(source, part, name, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")
    size = int(entry["size"])
    changed = next(
        (
            entry[key]
            for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "created")
            if entry.get(key)
        ),
        "",
    )
    stamp = changed.isoformat() if hasattr(changed, "isoformat") else str(changed).strip('"')
    return PartFile(source, part, filesystem.unstrip_protocol(name), size, f"{size}-{stamp}")


def _protocol(filesystem: "AbstractFileSystem") -> str:
    return filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
