"""Pictures that a user has downloaded already: found by their address, verified as fetched ones are.

Belongs here: opening the folders, looking addresses up, what is usable of what is found. Does not belong here: which
addresses may be taken over and their results (`harvest`), the layout of the folders (`sets.img2dataset`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.images.addresses import AddressIndex
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.sets.img2dataset import Img2Dataset, open_img2dataset
from laionet_assets.images.sets.items import ImageSetError, Labels
from laionet_assets.images.sets.webdataset import WebDataset
from laionet_assets.warehouse.warehouse import ConnectionFactory

if TYPE_CHECKING:
    from laionet_assets.pictures.inspection import Inspection

Folder = Img2Dataset | WebDataset
"""A folder that img2dataset wrote."""
KEY = "images.downloaded"


@dataclass(frozen=True, slots=True)
class Found:
    """A picture at hand. `read` gives its bytes; OSError if that fails."""

    url: str = field(repr=False)
    """Address as published."""
    read: Callable[[], bytes] = field(repr=False)
    original_hash: str | None = None
    """sha256 or md5 of the bytes as they were sent, where the folder keeps it: they may have been resized since."""


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """Where addresses are looked up before they are asked, and the limits of what is taken."""

    find: Callable[[Collection[str]], Iterator[Found]]
    """Pictures of these addresses, one at a time; an address may come several times."""
    max_bytes: int
    max_pixels: int
    min_pixels: int

    @classmethod
    def of_folders(
        cls, folders: Sequence[Folder], policy: FetchPolicy, *, place: Path, connect: ConnectionFactory
    ) -> "Downloaded":
        """Folders in the order of the settings, with the limits of a fetch; where addresses are in them is kept in
        `place`.
        """

        def find(urls: Collection[str]) -> Iterator[Found]:
            for folder in folders:
                index = AddressIndex(folder.path, folder.parquets, folder.addresses, place, connect)
                for item, original_hash in folder.pictures_of(urls, among=index.files_with(urls)):
                    yield Found(item.url or "", item.read, original_hash)

        return cls(find=find, max_bytes=policy.max_bytes, max_pixels=policy.max_pixels, min_pixels=policy.min_pixels)

    def bytes_of(self, found: Found) -> bytes | None:
        """What lies there; None if it cannot be read or is larger than a fetch would read."""
        try:
            data = found.read()
        except OSError:
            return None
        return data if len(data) <= self.max_bytes else None

    def inspect(self, data: bytes) -> "Inspection":
        """Decode and hash the bytes as those of a fetch are."""
        from laionet_assets.pictures.inspection import inspect

        return inspect(data, min_pixels=self.min_pixels, max_pixels=self.max_pixels)


def open_folders(paths: Sequence[Path]) -> tuple[Folder, ...]:
    """Open the folders of `images.downloaded`, without labels.

    Raises ImageSetError if one is missing, is not laid out as img2dataset does, or does not keep addresses.
    """
    return tuple(_open(f"{KEY}[{i}]", path) for i, path in enumerate(paths))


def _open(name: str, path: Path) -> Folder:
    folder = open_img2dataset(name, path, Labels())
    if not folder.has_parquet:
        raise ImageSetError(
            f"{name}: {path}: found tars without Parquet files; expected NNNNN.parquet with the columns key and url "
            "beside NNNNN.tar, as img2dataset writes"
        )
    return folder
