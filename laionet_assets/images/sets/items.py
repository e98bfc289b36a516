"""What an image set is, and what the layouts that are folders of files share.

Belongs here: the protocol, an item, reading one, walking folders. Does not belong here: any one layout, and decoding
(`pictures`).
"""

import lzma
import os
import tarfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, runtime_checkable

from laionet_assets.errors import UserError
from laionet_assets.pictures.formats import ENDINGS

ENDING = "not called as a picture"
HIDDEN = "hidden"
BROKEN_LINK = "broken link"
NO_FILE = "not a file"
EMPTY_CLASS = "class without a picture"
"""Reasons why something is left out."""
SHOWN = 10
"""How many of a long list an error shows."""


class ImageSetError(UserError):
    """The folder is not what its layout promises. The message says what was found, expected, and what to do."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not taken from a set, for one reason: how many entries, and the names of the first few."""

    reason: str
    count: int
    examples: tuple[str, ...]


class Rest:
    """Counts what is left out."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, name: str, *, count: int = 1) -> None:
        """Count what is left out for a reason, with the name of one."""
        self._counts[reason] += count
        examples = self._examples.setdefault(reason, [])
        if len(examples) < SHOWN:
            examples.append(name)

    def reasons(self) -> list[LeftOut]:
        """By reason, in order of the alphabet."""
        return [LeftOut(reason, self._counts[reason], tuple(self._examples[reason])) for reason in sorted(self._counts)]


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

    @property
    def expected(self) -> int | None:
        """How many pictures the layout has where it is whole; None where that is not known."""
        ...

    def left_out(self) -> list[LeftOut]:
        """What lies there and is no picture of the set, or should lie there and does not: by reason."""
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
    expected: int | None = None

    @abstractmethod
    def files(self, rest: Rest) -> Iterator[LabelledFile]:
        """Every picture once, always in the same order; what is left out goes to `rest`."""

    def iterate(self) -> Iterator[ImageItem]:
        """Every picture once, always in the same order."""
        return (ImageItem(file.image_id, file.wnid, FileReader(file.path)) for file in self.files(Rest()))

    def count(self) -> int:
        """How many pictures `iterate` gives."""
        return self._survey[0]

    def fingerprint(self) -> str:
        """Digest of ids, labels, sizes and modification times."""
        return self._survey[1]

    def left_out(self) -> list[LeftOut]:
        """What lies there and is no picture of the set, or should lie there and does not: by reason."""
        return self._survey[2]

    @cached_property
    def _survey(self) -> tuple[int, str, list[LeftOut]]:
        count, state, rest = 0, blake2b(digest_size=8), Rest()
        for file in self.files(rest):
            count += 1
            line = f"{file.image_id}\0{file.wnid}\0{file.size_bytes}\0{file.modified_ns}\n"
            state.update(line.encode("utf-8", "surrogateescape"))
        return count, state.hexdigest(), rest.reasons()


def is_picture(name: str) -> bool:
    """Whether a file is called as a picture is, and not hidden."""
    return not name.startswith(".") and name.rpartition(".")[2].lower() in ENDINGS and "." in name


def folders_in(path: Path) -> list[str]:
    """Names of the folders (and links to folders) in a folder, hidden ones left out, sorted."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def pictures_in(path: Path, rest: Rest | None = None) -> list[os.DirEntry[str]]:
    """Pictures that lie directly in a folder, by name; other files there go to `rest`."""
    rest = rest if rest is not None else Rest()
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    return [entry for entry in entries if not entry.is_dir() and _is_taken(entry, rest)]


def pictures_below(path: Path, rest: Rest | None = None) -> Iterator[os.DirEntry[str]]:
    """Pictures in a folder and all below it, by name, links followed; other files go to `rest`.

    Raises ImageSetError for a link in a circle.
    """
    return _below(path, rest if rest is not None else Rest(), above=())


@contextmanager
def readable(name: str, file: Path | str) -> Iterator[None]:
    """Whatever a file that is cut off or damaged raises becomes one message that names it: ImageSetError."""
    import pyarrow as pa

    try:
        yield
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, pa.ArrowException, ValueError) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise ImageSetError(
            f"image set {name}: {file} cannot be read ({said}): it is cut off or damaged. Download or write it again."
        ) from error


def require_folder(name: str, path: Path) -> None:
    """Raises ImageSetError unless `path` is a folder that can be read."""
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise ImageSetError(f"image set {name}: found {found} at {path}, expected a folder. Correct its path.")


@dataclass(frozen=True)
class Labels:
    """What the labels of pictures may say: a wnid of the taxonomy, or a class index of ImageNet-1k.

    `column` is the name under which they stand, None for the place that a layout has for them.
    """

    wnids: frozenset[str] = frozenset()
    imagenet_wnids: Sequence[str] = ()
    column: str | None = None

    def wnid_of(self, value: object) -> str | None:
        """The class of a label; None where there is none. Raises ValueError if it is neither."""
        if value is None or value != value:
            return None
        if isinstance(value, str) and value in self.wnids:
            return value
        digits = str(value).removesuffix(".0")
        if not (digits.isascii() and digits.isdigit()) or int(digits) >= len(self.imagenet_wnids):
            raise ValueError(value)
        return self.imagenet_wnids[int(digits)]


def some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _is_taken(entry: os.DirEntry[str], rest: Rest) -> bool:
    """Whether a file is a picture by its name; if not, why goes to `rest`."""
    if is_picture(entry.name) and entry.is_file():
        return True
    if entry.name.startswith("."):
        reason = HIDDEN
    elif entry.is_file():
        reason = ENDING
    else:
        reason = BROKEN_LINK if entry.is_symlink() else NO_FILE
    rest.add(reason, entry.name)
    return False


def _below(path: Path, rest: Rest, *, above: tuple[tuple[int, int], ...]) -> Iterator[os.DirEntry[str]]:
    status = path.stat()
    own = (status.st_dev, status.st_ino)
    if own in above:
        raise ImageSetError(f"{path} is a link to a folder above it. Remove the link.")
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            if not entry.name.startswith("."):
                yield from _below(Path(entry.path), rest, above=(*above, own))
        elif _is_taken(entry, rest):
            yield entry
