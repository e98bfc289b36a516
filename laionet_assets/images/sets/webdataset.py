"""The layout `webdataset`: tars of pictures, written by img2dataset (NNNNN.tar beside NNNNN.parquet) or anyone.

Members of a tar that share a name up to its first dot belong together; the picture is the one that ends as pictures do
(`000000012.jpg`), and that shared name is its id. Where a tar has a Parquet file of the same name, rows and pictures
are joined by `key`, never by order: the tar holds successes only, in another order. Rows that failed are counted with
their error. Pictures come in the order of the tars.

A label is a wnid or a class index of ImageNet-1k: from `label_column` (a column of the Parquet file or, without one, a
field of the member .json), else from the member .cls where there is one, else None; then it can be joined by the key,
the address or a column of `metadata`.
"""

import json
import os
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.images.sets.items import (
    NO_FILE,
    ImageItem,
    ImageSetError,
    Labels,
    LeftOut,
    RangeReader,
    Rest,
    readable,
    some,
)
from laionet_assets.images.sets.tars import BLOCK_BYTES, TarMember, UnusualTarError, walk_tar
from laionet_assets.pictures.formats import ENDINGS

if TYPE_CHECKING:
    import pyarrow as pa

SUCCESS = "success"
NO_PICTURE = "success, but no picture in the tar"
TORN = "tar ends in the middle of a file"
DOTS = "dots in the name: what is behind the first is the ending"
NO_PICTURE_OF_KEY = "belongs to no picture"
LINK = "link"
"""Reasons why something is left out."""


@dataclass(frozen=True)
class _Shard:
    tar: Path
    parquet: Path | None


@dataclass(frozen=True)
class _Survey:
    pictures: int
    outcomes: Mapping[str, int]
    left_out: tuple[LeftOut, ...]


class WebDataset:
    """Tars in a folder, or one tar.

    Raises ImageSetError here for files that do not belong together, on iterating for keys and labels that do not fit.
    """

    def __init__(self, name: str, path: Path, labels: Labels) -> None:
        self.name = name
        self.path = path
        self._labelling = labels
        self._shards = _find_shards(name, path)

    def iterate(self) -> Iterator[ImageItem]:
        """Every picture once, tar by tar, in the order in which they lie."""
        seen: set[str] = set()
        for shard in self._shards:
            samples, _ = self._samples(shard)
            rows = self._rows(shard)
            self._check_keys(shard, samples, rows, seen)
            labels = self._labels(shard, samples, rows)
            for key, members in samples.items():
                picture = next(member for ending, member in members.items() if ending in ENDINGS)
                reader = RangeReader(str(shard.tar), picture.byte_offset, picture.size_bytes)
                url = rows[key].get("url") if rows is not None else None
                yield ImageItem(key, labels.get(key), reader, url)

    @property
    def has_parquet(self) -> bool:
        """Whether the tars have their Parquet files: either all of them have, or none."""
        return all(shard.parquet is not None for shard in self._shards)

    @property
    def parquets(self) -> Sequence[Path]:
        """The Parquet file of each tar, in order; none where the tars have none."""
        return [shard.parquet for shard in self._shards if shard.parquet is not None]

    def addresses(self, parquet: Path) -> "pa.ChunkedArray":
        """The addresses of a Parquet file. Raises ImageSetError if it does not keep any."""
        return addresses_of(self.name, parquet, self._check_columns(parquet))

    def pictures_of(self, urls: Collection[str], *, among: Collection[int]) -> Iterator[tuple[ImageItem, str | None]]:
        """Pictures of these addresses, without labels, with the hash that img2dataset took before it resized them.

        That hash is a sha256 or md5, None where the Parquet file has neither. `among`: numbers of `parquets` that may
        have some; the others are not looked at. A tar without any of them is not opened.
        """
        for shard in (self._shards[number] for number in sorted(among)):
            if shard.parquet is None:
                continue
            wanted = rows_of(self.name, shard.parquet, self._check_columns(shard.parquet), urls)
            samples = self._samples(shard)[0] if wanted else {}
            for key, members in samples.items():
                if key in wanted:
                    picture = next(member for ending, member in members.items() if ending in ENDINGS)
                    reader = RangeReader(str(shard.tar), picture.byte_offset, picture.size_bytes)
                    url, original_hash = wanted[key]
                    yield ImageItem(key, None, reader, url), original_hash

    def count(self) -> int:
        """How many pictures the tars hold."""
        return self._survey.pictures

    def fingerprint(self) -> str:
        """Digest of names, sizes and modification times of the files, and of where labels come from."""
        state = blake2b(repr(self._labelling.column).encode(), digest_size=8)
        for shard in self._shards:
            for file in filter(None, (shard.tar, shard.parquet)):
                status = file.stat()
                state.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return state.hexdigest()

    def outcomes(self) -> dict[str, int]:
        """Rows of the Parquet files by success, or status and error message, most frequent first."""
        return dict(self._survey.outcomes)

    def metadata(self) -> "pa.Table":
        """All rows of the Parquet files, failures too: their columns, with `key` called `image_id`, and the `shard`.

        Empty where there are none. What img2dataset was told to keep (a sample id, a wnid) is here to be joined by.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = []
        for shard in self._shards:
            if shard.parquet:
                self._check_columns(shard.parquet)
                table = pq.read_table(shard.parquet)
                names = ["image_id" if name == "key" else name for name in table.column_names]
                shards = pa.array([shard.tar.name] * len(table), pa.string())
                tables.append(table.rename_columns(names).append_column("shard", shards))
        return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})

    @property
    def expected(self) -> int | None:
        """Not known: a tar may hold any number."""
        return None

    def left_out(self) -> list[LeftOut]:
        """Failed rows by error, tars that end early, members that are no picture of a key."""
        return list(self._survey.left_out)

    @cached_property
    def _survey(self) -> _Survey:
        pictures, rest = 0, Rest()
        outcomes: Counter[str] = Counter()
        for shard in self._shards:
            samples, is_torn = self._samples(shard, rest)
            pictures += len(samples)
            if is_torn:
                rest.add(TORN, shard.tar.name)
            for key, row in (self._rows(shard) or {}).items():
                outcome = outcome_of(row)
                outcome = NO_PICTURE if outcome == SUCCESS and key not in samples else outcome
                outcomes[outcome] += 1
                if outcome != SUCCESS:
                    rest.add(outcome, key)
        ordered = dict(sorted(outcomes.items(), key=lambda item: (-item[1], item[0])))
        return _Survey(pictures, ordered, tuple(rest.reasons()))

    def _samples(self, shard: _Shard, rest: Rest | None = None) -> tuple[dict[str, dict[str, TarMember]], bool]:
        """Members by key and ending of every key with a picture, in the order of the tar, and whether it ends early.

        Members that belong to no picture go to `rest`.
        """
        rest = rest if rest is not None else Rest()
        members, is_torn = _members(self.name, shard.tar, rest)
        samples: dict[str, dict[str, TarMember]] = {}
        twice: list[str] = []
        for member in members:
            folder, slash, file = member.name.rpartition("/")
            key, dot, ending = file.partition(".")
            if not (key and dot):
                rest.add(NO_PICTURE_OF_KEY, member.name)
            else:
                sample = samples.setdefault(folder + slash + key, {})
                if ending.lower() in sample:
                    twice.append(member.name)
                sample[ending.lower()] = member
        twice += [key for key, sample in samples.items() if len(ENDINGS.intersection(sample)) > 1]
        if twice:
            raise ImageSetError(
                f"image set {self.name}: {shard.tar}: found several pictures under one key: {some(twice)}; "
                "expected one a key. Write the tar again with distinct names."
            )
        for sample in samples.values():
            if not ENDINGS.intersection(sample):
                for ending, member in sample.items():
                    is_dotted = "." in ending and ending.rpartition(".")[2] in ENDINGS
                    rest.add(DOTS if is_dotted else NO_PICTURE_OF_KEY, member.name)
        return {key: sample for key, sample in samples.items() if ENDINGS.intersection(sample)}, is_torn

    def _rows(self, shard: _Shard) -> dict[str, dict[str, Any]] | None:
        """Rows of the Parquet file by key; None where there is none."""
        import pyarrow.parquet as pq

        if shard.parquet is None:
            return None
        names = self._check_columns(shard.parquet)
        wanted = [n for n in ("key", "status", "error_message", "url", self._labelling.column) if n in names]
        with readable(self.name, shard.parquet):
            rows = pq.read_table(shard.parquet, columns=list(dict.fromkeys(wanted))).to_pylist()
        return {str(row["key"]): row for row in rows}

    def _check_columns(self, parquet: Path) -> list[str]:
        import pyarrow.parquet as pq

        with readable(self.name, parquet):
            names = pq.read_schema(parquet).names
        absent = [name for name in ("key", self._labelling.column) if name is not None and name not in names]
        if absent:
            raise ImageSetError(
                f"image set {self.name}: {parquet}: found columns {', '.join(names)}; expected also "
                f"{', '.join(absent)}. Correct label_column, or give the Parquet files that img2dataset wrote."
            )
        return names

    def _check_keys(
        self, shard: _Shard, samples: Mapping[str, object], rows: Mapping[str, object] | None, seen: set[str]
    ) -> None:
        strange = [key for key in samples if rows is not None and key not in rows]
        if strange:
            raise ImageSetError(
                f"image set {self.name}: {shard.tar}: {len(strange)} keys are not in {shard.parquet.name}: "  # type: ignore[union-attr]
                f"{some(strange)}. Expected the Parquet file of the same run; put the right one there, or take it away."
            )
        again = sorted(seen.intersection(samples))
        if again:
            raise ImageSetError(
                f"image set {self.name}: {shard.tar}: {len(again)} keys are in an earlier tar too: {some(again)}. "
                "Expected each key once; are the tars of two runs in one folder?"
            )
        seen.update(samples)

    def _labels(
        self,
        shard: _Shard,
        samples: Mapping[str, Mapping[str, TarMember]],
        rows: Mapping[str, Mapping[str, Any]] | None,
    ) -> dict[str, str | None]:
        values: dict[str, object] = {}
        wrong: list[str] = []
        for key, members in samples.items():
            if self._labelling.column is not None and rows is not None:
                values[key] = rows[key][self._labelling.column]
            elif self._labelling.column is not None and "json" in members:
                with readable(self.name, f"{shard.tar}: {members['json'].name}"):
                    described = json.loads(_read(shard.tar, members["json"]))
                if isinstance(described, dict) and self._labelling.column in described:
                    values[key] = described[self._labelling.column]
                else:
                    wrong.append(f"{key} (no field {self._labelling.column})")
            elif self._labelling.column is not None:
                wrong.append(f"{key} (no .json)")
            elif "cls" in members:
                values[key] = _read(shard.tar, members["cls"]).decode("utf-8", "replace").strip()
        labels: dict[str, str | None] = {}
        for key, value in values.items():
            try:
                labels[key] = self._labelling.wnid_of(value)
            except ValueError:
                wrong.append(f"{key} ({value!r})")
        if wrong:
            raise ImageSetError(
                f"image set {self.name}: {shard.tar}: {len(wrong)} pictures have no label that is known: "
                f"{some(wrong)}; expected wnids of the taxonomy or class indices 0 to 999. Correct label_column."
            )
        return labels


def _find_shards(name: str, path: Path) -> list[_Shard]:
    where = f"image set {name}: {path}"
    if not path.exists():
        raise ImageSetError(f"{where}: found nothing there, expected a folder of tars. Correct its path.")
    if path.is_file():
        parquet = path.with_suffix(".parquet")
        return [_Shard(path, parquet if parquet.is_file() else None)]
    files = {file.name: file for file in sorted(path.iterdir()) if not (file.name.startswith(".") or file.is_dir())}
    tars = [file for file_name, file in files.items() if file_name.endswith(".tar")]
    if not tars:
        packed = [file_name for file_name in files if file_name.endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.bz2"))]
        raise ImageSetError(
            f"{where}: found compressed tars: {some(packed)}. Decompress them: pictures are read in place"
            if packed
            else f"{where}: found no tar; expected NNNNN.tar, as img2dataset writes with output_format webdataset"
        )
    shards = [_Shard(tar, files.get(tar.with_suffix(".parquet").name)) for tar in tars]
    alone = [shard.tar.name for shard in shards if shard.parquet is None]
    lost = [n for n in files if n.endswith(".parquet") and n.removesuffix(".parquet") + ".tar" not in files]
    if lost or 0 < len(alone) < len(shards):
        problems = [f"tars without their Parquet file: {some(alone)}"] * bool(alone)
        problems += [f"Parquet files without their tar: {some(lost)}"] * bool(lost)
        raise ImageSetError(
            f"{where}: found {'; '.join(problems)}; expected a pair a shard. Was img2dataset interrupted? "
            "Run it again (it does only what is missing), or move these files away."
        )
    return shards


def _members(name: str, tar: Path, rest: Rest) -> tuple[list[TarMember], bool]:
    """Members of a tar, and whether it ends early. Hard links are what they link to; symbolic ones go to `rest`."""
    with readable(name, tar):
        descriptor = os.open(tar, os.O_RDONLY)
    try:
        members, end = walk_tar(descriptor)
        behind = os.pread(descriptor, BLOCK_BYTES, end)
        if not members and behind.strip(b"\0"):
            raise ImageSetError(f"image set {name}: {tar} is not a tar, or is compressed; expected an uncompressed tar")
        return members, bool(behind.strip(b"\0"))
    except UnusualTarError:
        pass
    finally:
        os.close(descriptor)
    places: dict[str, TarMember] = {}
    with readable(name, tar), tarfile.open(tar, "r:") as archive:
        for member in archive:
            if member.isreg() and not member.issparse():
                places[member.name] = TarMember(member.name, member.offset_data, member.size)
            elif member.islnk() and (target := places.get(member.linkname)) is not None:
                places[member.name] = TarMember(member.name, target.byte_offset, target.size_bytes)
            elif not member.isdir():
                rest.add(LINK if member.issym() or member.islnk() else NO_FILE, member.name)
    return list(places.values()), False


def addresses_of(name: str, parquet: Path, columns: Sequence[str]) -> "pa.ChunkedArray":
    """The addresses of a Parquet file of img2dataset, as texts. Raises ImageSetError if it does not keep any."""
    import pyarrow as pa

    urls = _columns_of(name, parquet, columns, ["url"])["url"]
    with readable(name, parquet):
        return urls.cast(pa.string())


def rows_of(
    name: str, parquet: Path, columns: Sequence[str], urls: Collection[str]
) -> dict[str, tuple[str, str | None]]:
    """Address and hash by key, of the rows of a Parquet file of img2dataset with one of these addresses.

    Raises ImageSetError if it does not keep addresses.
    """
    hashes = [each for each in ("sha256", "md5") if each in columns]
    table = _columns_of(name, parquet, columns, ["key", "url", *hashes])
    rows = table.filter([url in urls for url in table["url"].to_pylist()]).to_pylist()
    return {str(row["key"]): (row["url"], next((row[n] for n in hashes if row[n]), None)) for row in rows}


def _columns_of(name: str, parquet: Path, columns: Sequence[str], wanted: Sequence[str]) -> "pa.Table":
    import pyarrow.parquet as pq

    if "url" not in columns:
        raise ImageSetError(
            f"image set {name}: {parquet}: found columns {', '.join(columns)}; expected also url. "
            "Give the Parquet files that img2dataset wrote."
        )
    with readable(name, parquet), pq.ParquetFile(parquet) as file:
        return file.read(wanted)


def outcome_of(row: Mapping[str, Any]) -> str:
    """What became of a row: `success`, or status and error message."""
    status = row.get("status") or SUCCESS
    message = row.get("error_message")
    return status if status == SUCCESS or not message else f"{status}: {message}"


def _read(tar: Path, member: TarMember) -> bytes:
    return RangeReader(str(tar), member.byte_offset, member.size_bytes)()
