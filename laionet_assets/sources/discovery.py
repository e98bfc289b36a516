"""Discovery: from a path in the settings to the files that are its parts, and what tells that one has changed.

Belongs here: globs, folders and URLs of fsspec filesystems, names of parts, signatures and fingerprints. Does not
belong here: what is in a file.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from hashlib import blake2b
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from braceexpand import braceexpand

from laionet_assets.references import opened
from laionet_assets.sources.adapters import AUTO, adapter_named
from laionet_assets.sources.errors import NoPartsError, SourceError
from laionet_assets.sources.formats import FORMATS

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Resolver = Callable[[str], str | os.PathLike[str]]

_CHUNK_BYTES = 8 * 2**20
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_MAGIC = re.compile(r"[*?\[]")
_HIVE_FOLDER = re.compile(r"^[^=]+=[^=]*$")
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f]|\.\.\.")
_LONGEST_NAME = 240
_FILE_ENDINGS = tuple(ending for each in FORMATS for ending in each.endings)
_NAME_ENDINGS = re.compile(
    r"\.(parquet|tsv|csv|jsonl|ndjson|snappy|gz|gzip|zst|zstd|lz4|lz4raw|br|brotli|lzo|uncompressed)$", re.IGNORECASE
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


@dataclass(frozen=True)
class Discovery:
    """What lies at the paths of a source. `refused`: why a part cannot be used, by its name; `notes`: paths where
    nothing was found, beside others.
    """

    files: tuple[PartFile, ...]
    refused: Mapping[str, str]
    notes: tuple[str, ...] = ()


def resolve_path(path: str, *, resolvers: Mapping[str, Resolver]) -> str:
    """The path behind a URL whose scheme the project itself provides (`sample://web`); any other path as it is.

    `resolvers`: scheme -> function from what follows `://` to a path.
    """
    match = _SCHEME.match(path)
    if match is None or match[1] not in resolvers:
        return path
    return os.fspath(resolvers[match[1]](path[match.end() :]))


def filesystem_of(path: str, *, storage_options: Mapping[str, Any] | None = None) -> tuple["AbstractFileSystem", str]:
    """The fsspec filesystem of a path or URL, and the path inside it. Raises UserError, as `references.opened`."""
    if _SCHEME.match(path) is None:
        path = os.path.abspath(os.path.expanduser(path))
    return opened(path, storage_options or {})


def discover(
    source: str, adapter: str, path: str | Sequence[str], *, storage_options: Mapping[str, Any] | None = None
) -> Discovery:
    """The files of a source, sorted by part.

    `path` is a file, a folder (its own files, not those of folders in it) or a glob (`**` goes into folders), local or
    on an fsspec filesystem, or several of them as a list or in braces (`{a,b}`, `{0..9}`). Links are followed. Files of
    other formats than the adapter's, dot-files, `.crc` files and everything that starts with an underscore are passed
    over. A file that cannot be a part is refused alone. Raises NoPartsError if nothing is found, and SourceError if a
    place cannot be looked at.
    """
    endings = _FILE_ENDINGS if adapter == AUTO else adapter_named(adapter).endings
    found: dict[str, PartFile] = {}
    candidates: dict[str, dict[str, PartFile | None]] = defaultdict(dict)
    notes: list[str] = []
    for each in _expanded(path):
        filesystem, inside = filesystem_of(each, storage_options=storage_options)
        with _looking_at(source, each):
            entries = _entries(filesystem, inside, shown=each)
            names = [name for name in entries if name.lower().endswith(endings)]
            for name in names:
                part = part_name(name)
                candidates[part][name] = _part_file(source, part, filesystem, name, entries[name])
        if not names:
            notes.append(_nothing_found(source, each, endings, entries))
    if not candidates:
        raise NoPartsError("\n".join(notes))
    refused: dict[str, str] = {}
    for part, files in sorted(candidates.items()):
        there = _without_links([file for file in files.values() if file is not None])
        if problem := _problem(part, there, files):
            refused[part] = f"source {source}: part {part} is left out: {problem}"
        else:
            found[part] = there[0]
    return Discovery(tuple(found.values()), refused, tuple(notes))


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
    part-00000). Hive folders right above the file are part of it (lang=en/part-00000).
    """
    *folders, name = path.rstrip("/").split("/")
    while (stem := _NAME_ENDINGS.sub("", name)) not in (name, ""):
        name = stem
    hive = list(takewhile(_HIVE_FOLDER.match, reversed(folders)))
    return "/".join([*reversed(hive), name])


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


def _expanded(path: str | Sequence[str]) -> list[str]:
    """One path an element, braces written out. A brace that is part of a local file's name stays."""
    paths = [path] if isinstance(path, str) else list(path)
    return [
        each
        for written in paths
        for each in ([written] if "{" not in written or os.path.exists(written) else braceexpand(written))
    ]


@contextmanager
def _looking_at(source: str, path: str) -> Iterator[None]:
    """Turn whatever a filesystem says when it cannot be looked at into a SourceError that names source and path.

    Every library behind fsspec has errors of its own (no credentials, no such host), without a class in common.
    """
    try:
        yield
    except NoPartsError as error:
        raise NoPartsError(f"source {source}: {error}") from None
    except SourceError as error:
        raise SourceError(f"source {source}: {error}") from None
    except PermissionError as error:
        raise SourceError(
            f"source {source}: {path}: may not be read ({_said(error)}); check the permissions, or its storage_options"
        ) from error
    except Exception as error:
        raise SourceError(
            f"source {source}: {path}: cannot be looked at ({_said(error)}); check that it is mounted or can be "
            "reached, and its storage_options (credentials, endpoint)"
        ) from error


def _said(error: Exception) -> str:
    return " ".join(f"{error}".split()) or type(error).__name__


def _entries(filesystem: "AbstractFileSystem", inside: str, *, shown: str) -> dict[str, Mapping[str, Any]]:
    """Files behind a path, whatever their format, by their path in the filesystem. Raises SourceError if the place
    itself is not there.
    """
    is_local = _protocol(filesystem) == "file"
    root, names = (_local_names(inside) if is_local else _remote_entries(filesystem, inside, shown=shown)) or (None, {})
    if root is None:
        is_file = inside.lower().endswith(_FILE_ENDINGS) and (not is_local or os.path.isdir(os.path.dirname(inside)))
        error = NoPartsError if is_file else SourceError
        raise error(
            f"{shown}: there is nothing there, expected a file, a folder or a glob; correct the path, or mount or make "
            "the folder"
        )
    return {name: entry for name, entry in names.items() if not _is_ignored(name[len(root) :])}


def _local_names(inside: str) -> tuple[str, dict[str, Mapping[str, Any]]] | None:
    """The folder that a path begins with, and the files behind the path, links followed; None if it is not there."""
    if os.path.isfile(inside):
        return inside, {inside: {}}
    if os.path.isdir(inside):
        root = inside.rstrip("/")
        names = [os.path.join(root, name) for name in os.listdir(root)]
    elif magic := _MAGIC.search(inside):
        root = inside[: magic.start()].rpartition("/")[0]
        if not os.path.isdir(root or "/"):
            return None
        names = glob(inside, recursive=True)
    else:
        return None
    return root, {name: {} for name in names if not os.path.isdir(name)}


def _remote_entries(
    filesystem: "AbstractFileSystem", inside: str, *, shown: str
) -> tuple[str, dict[str, Mapping[str, Any]]] | None:
    filesystem.invalidate_cache()
    magic = _MAGIC.search(inside)
    try:
        info = filesystem.info(inside)
        if info["type"] != "directory":
            return inside, {inside: info}
        root = inside.rstrip("/")
        found = {entry["name"]: entry for entry in filesystem.ls(inside, detail=True)}
    except FileNotFoundError:
        bucket = inside.split("/")[0]
        if _protocol(filesystem) in _STRONG_CHECKSUMS and not filesystem.exists(bucket):
            raise SourceError(f"{shown}: the bucket {bucket} is not there, or may not be read") from None
        if magic is None:
            return None
        root = inside[: magic.start()].rpartition("/")[0]
        found = filesystem.glob(inside, detail=True)
    return root, {
        name: entry for name, entry in found.items() if entry["type"] != "directory" and not name.endswith("/")
    }


def _without_links(files: Sequence[PartFile]) -> list[PartFile]:
    """Without files that are the same one, seen by way of a link; the shortest path stays."""
    seen: dict[str, PartFile] = {}
    for file in sorted(files, key=lambda file: (len(file.path), file.path)):
        seen.setdefault(file.path if _SCHEME.match(file.path) else os.path.realpath(file.path), file)
    return list(seen.values())


def _problem(part: str, there: Sequence[PartFile], names: Collection[str]) -> str | None:
    """Why a part cannot be used; None if it can."""
    if not there:
        return f"{', '.join(sorted(names))} is a link to nothing; mend the link, or remove it"
    if len(there) > 1:
        return (
            f"several files are the same part: {', '.join(sorted(file.path for file in there))}; "
            "rename them, or make them sources of their own"
        )
    if _IMPOSSIBLE.search(part) or len(quote(part, safe="")) > _LONGEST_NAME:
        return (
            f"its name has control characters or three dots in a row, or is longer than {_LONGEST_NAME} bytes; "
            f"rename {there[0].path}"
        )
    return None


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
) -> PartFile | None:
    """A file as it is now; None for a local one that is gone, or a link to nothing."""
    if _protocol(filesystem) == "file":
        try:
            status = os.stat(name)
        except FileNotFoundError:
            return None
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
