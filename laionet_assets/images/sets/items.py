"""What an image set is, and what the layouts that are folders of files share.

Belongs here: the protocol, an item, reading one, walking folders. Does not belong here: any one layout, and decoding
(`pictures`).
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, runtime_checkable

from laionet_assets.errors import UserError
from laionet_assets.pictures.formats import ENDINGS

SHOWN = 10
"""How many of a long list an error shows."""


class ImageSetError(UserError):
    """The folder is not what its layout promises. The message says what was found, expected, and what to do."""


@dataclass(frozen=True, slots=True)
class ImageItem:
    """A picture of a set. `read` gives its bytes, at any time, from any thread; OSError if that fails."""

    image_id: str
    """Unique within the set."""
    wnid: str | None
    """Class by its WordNet id; None where the set does not say."""
    read: Callable[[], bytes] = field(repr=False)
    url: str | None = field(default=None, repr=False)
    """Address as published, where the set keeps it."""


@runtime_checkable
class ImageSet(Protocol):
    """A named set of pictures in a stable order."""

    name: str

    def iterate(self) -> Iterator[ImageItem]:
        """Every picture once, always in the same order."""
        ...

    def count(self) -> int:
        """How many pictures `iterate` gives."""
        ...

    def fingerprint(self) -> str:
        """Changes when a picture or a label is added, replaced or removed. Cheap: no picture is read."""
        ...

    def notes(self) -> list[str]:
        """What a user should know about the set though it can be used: one sentence each."""
        ...


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads a whole file."""

    path: str

    def __call__(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()


@dataclass(frozen=True, slots=True)
class RangeReader:
    """Reads a range of bytes of a file."""

    path: str
    byte_offset: int
    size_bytes: int

    def __call__(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.byte_offset)
            data = file.read(self.size_bytes)
        if len(data) != self.size_bytes:
            raise OSError(f"{self.path}: ends at byte {self.byte_offset + len(data)}, in the middle of a picture")
        return data


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A file of a set with what identifies its state."""

    image_id: str
    wnid: str | None
    path: str
    size_bytes: int
    modified_ns: int


class FileImageSet(ABC):
    """A set whose pictures are files. A layout says which by `files`; they are listed anew each time."""

    name: str

    @abstractmethod
    def files(self) -> Iterator[LabelledFile]:
        """Every picture once, always in the same order."""

    def iterate(self) -> Iterator[ImageItem]:
        """Every picture once, always in the same order."""
        return (ImageItem(file.image_id, file.wnid, FileReader(file.path)) for file in self.files())

    def count(self) -> int:
        """How many pictures `iterate` gives."""
        return self._survey[0]

    def fingerprint(self) -> str:
        """Digest of ids, labels, sizes and modification times."""
        return self._survey[1]

    def notes(self) -> list[str]:
        """What a user should know about the set though it can be used: one sentence each."""
        return []

    @cached_property
    def _survey(self) -> tuple[int, str]:
        count, state = 0, blake2b(digest_size=8)
        for file in self.files():
            count += 1
            line = f"{file.image_id}\0{file.wnid}\0{file.size_bytes}\0{file.modified_ns}\n"
            state.update(line.encode("utf-8", "surrogateescape"))
        return count, state.hexdigest()


def is_picture(name: str) -> bool:
    """Whether a file is called as a picture is, and not hidden."""
    return not name.startswith(".") and name.rpartition(".")[2].lower() in ENDINGS and "." in name


def folders_in(path: Path) -> list[str]:
    """Names of the folders (and links to folders) in a folder, hidden ones left out, sorted."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def pictures_in(path: Path) -> list[os.DirEntry[str]]:
    """Pictures that lie directly in a folder, by name."""
    with os.scandir(path) as entries:
        return sorted((e for e in entries if is_picture(e.name) and e.is_file()), key=lambda entry: entry.name)


def pictures_below(path: Path) -> Iterator[os.DirEntry[str]]:
    """Pictures in a folder and all below it, by name, links followed. Raises ImageSetError for a link in a circle."""
    return _below(path, above=())


def require_folder(name: str, path: Path) -> None:
    """Raises ImageSetError unless `path` is a folder that can be read."""
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise ImageSetError(f"image set {name}: found {found} at {path}, expected a folder. Correct its path.")


def some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _below(path: Path, *, above: tuple[tuple[int, int], ...]) -> Iterator[os.DirEntry[str]]:
    status = path.stat()
    own = (status.st_dev, status.st_ino)
    if own in above:
        raise ImageSetError(f"{path} is a link to a folder above it. Remove the link.")
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            if not entry.name.startswith("."):
                yield from _below(Path(entry.path), above=(*above, own))
        elif is_picture(entry.name) and entry.is_file():
            yield entry
