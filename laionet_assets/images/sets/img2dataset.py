"""The layout `img2dataset`: what img2dataset writes, in whichever of its output formats that hold pictures.

    webdataset   NNNNN.tar beside NNNNN.parquet (see `webdataset`)
    files        NNNNN/<key>.jpg beside NNNNN.parquet
    parquet      NNNNN.parquet, with the bytes of the pictures in a column called as their format (jpg, png, webp)

Rows and pictures are joined by `key`; rows without a picture are counted with their error. A label is a wnid or a class
index of ImageNet-1k in `label_column`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.images.sets.items import (
    FileReader,
    ImageItem,
    ImageSetError,
    Labels,
    LeftOut,
    Rest,
    pictures_in,
    readable,
    require_folder,
    some,
)
from laionet_assets.images.sets.webdataset import NO_PICTURE, SUCCESS, WebDataset, addresses_of, outcome_of, rows_of
from laionet_assets.pictures.formats import ENDINGS

if TYPE_CHECKING:
    import pyarrow as pa

NO_ROW = "picture without a row in the Parquet file"


@dataclass(frozen=True, slots=True)
class CellReader:
    """Reads a cell of a Parquet file."""

    path: str
    column: str
    row_group: int
    row: int

    def __call__(self) -> bytes:
        data = _row_group(self.path, self.column, self.row_group)[self.row].as_py()
        if data is None:
            raise OSError(f"{self.path}: no picture in row {self.row} of row group {self.row_group}")
        return bytes(data)


def open_img2dataset(name: str, path: Path, labels: Labels) -> "WebDataset | Img2Dataset":
    """The pictures of a folder that img2dataset wrote. Raises ImageSetError for one that it did not."""
    require_folder(name, path)
    return (WebDataset if any(path.glob("*.tar")) else Img2Dataset)(name, path, labels)


class Img2Dataset:
    """Pictures beside Parquet files, or in them. Raises ImageSetError for a folder without."""

    has_parquet = True
    """There is a row for each picture."""

    def __init__(self, name: str, path: Path, labels: Labels) -> None:
        self.name = name
        self.path = path
        self._labelling = labels
        self._parquets = sorted(file for file in path.glob("*.parquet") if not file.name.startswith("."))
        if not self._parquets:
            raise ImageSetError(
                f"image set {name}: {path}: found no NNNNN.parquet; expected what img2dataset writes with "
                "output_format webdataset, files or parquet"
            )

    @property
    def expected(self) -> int | None:
        """Not known: any number may have been asked for."""
        return None

    def iterate(self) -> Iterator[ImageItem]:
        """Every picture once, shard by shard, in the order of the rows."""
        for parquet in self._parquets:
            yield from self._items(parquet, Rest())

    @property
    def parquets(self) -> Sequence[Path]:
        """The Parquet file of each shard, in order."""
        return self._parquets

    def addresses(self, parquet: Path) -> "pa.ChunkedArray":
        """The addresses of a Parquet file. Raises ImageSetError if it does not keep any."""
        return addresses_of(self.name, parquet, self._columns(parquet))

    def pictures_of(self, urls: Collection[str], *, among: Collection[int]) -> Iterator[tuple[ImageItem, str | None]]:
        """Pictures of these addresses, without labels, with the hash that img2dataset took before it resized them.

        That hash is a sha256 or md5, None where the Parquet file has neither. `among`: numbers of `parquets` that may
        have some; the others are not looked at. A shard without any is not opened. Raises ImageSetError if addresses
        are not kept.
        """
        for parquet in (self._parquets[number] for number in sorted(among)):
            wanted = rows_of(self.name, parquet, self._columns(parquet), urls)
            readers = self._readers(parquet, self._columns(parquet)) if wanted else {}
            for key, (url, original_hash) in wanted.items():
                if key in readers:
                    yield ImageItem(key, None, readers[key], url), original_hash

    def count(self) -> int:
        """How many pictures `iterate` gives."""
        return self._survey[0]

    def fingerprint(self) -> str:
        """Digest of names, sizes and modification times of the files, and of where labels come from."""
        state = blake2b(repr(self._labelling.column).encode(), digest_size=8)
        for parquet in self._parquets:
            folder = parquet.with_suffix("")
            pictures = pictures_in(folder) if folder.is_dir() else []
            for file, status in ((parquet.name, parquet.stat()), *((one.name, one.stat()) for one in pictures)):
                line = f"{parquet.stem}/{file}\0{status.st_size}\0{status.st_mtime_ns}\n"
                state.update(line.encode("utf-8", "surrogateescape"))
        return state.hexdigest()

    def left_out(self) -> list[LeftOut]:
        """Rows without a picture by their error, files that are no picture of a row."""
        return self._survey[1]

    @cached_property
    def _survey(self) -> tuple[int, list[LeftOut]]:
        rest = Rest()
        pictures = sum(1 for parquet in self._parquets for _ in self._items(parquet, rest))
        return pictures, rest.reasons()

    def _items(self, parquet: Path, rest: Rest) -> Iterator[ImageItem]:
        """The pictures of a shard; rows and files that have none go to `rest`."""
        names = self._columns(parquet)
        readers = self._readers(parquet, names)
        column = self._labelling.column
        wrong: list[str] = []
        for row in self._rows(parquet, names):
            key = str(row["key"])
            reader = readers.pop(key, None)
            outcome = outcome_of(row)
            if reader is None:
                rest.add(NO_PICTURE if outcome == SUCCESS else outcome, key)
                continue
            try:
                wnid = self._labelling.wnid_of(row[column] if column is not None else None)
            except ValueError as error:
                wrong.append(f"{key} ({error})")
                continue
            yield ImageItem(key, wnid, reader, row.get("url"))
        for key in sorted(readers):
            rest.add(NO_ROW, f"{parquet.stem}/{key}")
        if wrong:
            raise ImageSetError(
                f"image set {self.name}: {parquet}: {len(wrong)} pictures have no label that is known: {some(wrong)}; "
                "expected wnids of the taxonomy or class indices 0 to 999. Correct label_column."
            )

    def _columns(self, parquet: Path) -> list[str]:
        import pyarrow.parquet as pq

        with readable(self.name, parquet):
            names = pq.read_schema(parquet).names
        absent = [name for name in ("key", self._labelling.column) if name is not None and name not in names]
        if not parquet.with_suffix("").is_dir() and not ENDINGS.intersection(names):
            absent.append("jpg (or a folder of that name with the pictures)")
        if absent:
            raise ImageSetError(
                f"image set {self.name}: {parquet}: found columns {', '.join(names)}; expected also "
                f"{', '.join(absent)}. Correct label_column, or give what img2dataset wrote."
            )
        return names

    def _rows(self, parquet: Path, names: Sequence[str]) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        wanted = [n for n in ("key", "status", "error_message", "url", self._labelling.column) if n in names]
        with readable(self.name, parquet):
            return pq.read_table(parquet, columns=list(dict.fromkeys(wanted))).to_pylist()

    def _readers(self, parquet: Path, names: Sequence[str]) -> dict[str, FileReader | CellReader]:
        """Readers of the pictures of a shard, by key."""
        folder = parquet.with_suffix("")
        if folder.is_dir():
            return {Path(entry.name).stem: FileReader(entry.path) for entry in pictures_in(folder)}
        return {**self._cells(parquet, names)}

    def _cells(self, parquet: Path, names: Sequence[str]) -> dict[str, CellReader]:
        """Readers of the pictures in a Parquet file, by key."""
        import pyarrow.parquet as pq

        column = next(name for name in names if name in ENDINGS)
        cells: dict[str, CellReader] = {}
        with readable(self.name, parquet), pq.ParquetFile(parquet) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=["key", column])
                has_bytes = rows.column(column).is_valid().to_pylist()
                for number, (key, is_there) in enumerate(zip(rows.column("key").to_pylist(), has_bytes, strict=True)):
                    if is_there:
                        cells[str(key)] = CellReader(str(parquet), column, group, number)
        return cells


@lru_cache(maxsize=8)
def _row_group(path: str, column: str, number: int) -> Any:
    """A column of a row group: pictures are read in the order of the rows, by a few threads."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read_row_group(number, columns=[column]).column(column)
