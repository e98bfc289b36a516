"""The layout `imagefolder`: one folder a class, called by its wnid, with its pictures at any depth below.

    n01443537/0001.jpg
    n01443537/more/0002.png

An image's id is its path within the set. What is not called as a picture is left out.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from laionet_assets.images.sets.items import (
    FileImageSet,
    ImageSetError,
    LabelledFile,
    folders_in,
    pictures_below,
    pictures_in,
    require_folder,
    some,
)


class ImageFolder(FileImageSet):
    """A folder of folders called by wnid. Raises ImageSetError, naming every folder that is not a known class."""

    def __init__(self, name: str, path: Path, *, wnids: Collection[str]) -> None:
        self.name = name
        self.path = path
        require_folder(name, path)
        self.wnids = folders_in(path)
        self._check(set(wnids))

    def files(self) -> Iterator[LabelledFile]:
        for wnid in self.wnids:
            for entry in pictures_below(self.path / wnid):
                status = entry.stat()
                image_id = Path(entry.path).relative_to(self.path).as_posix()
                yield LabelledFile(image_id, wnid, entry.path, status.st_size, status.st_mtime_ns)

    def notes(self) -> list[str]:
        """Names the classes without a picture."""
        empty = [wnid for wnid in self.wnids if next(pictures_below(self.path / wnid), None) is None]
        return [f"{self.name}: {len(empty)} classes have no picture: {some(empty)}"] if empty else []

    def _check(self, known: set[str]) -> None:
        problems = []
        unknown = [folder for folder in self.wnids if folder not in known]
        if not self.wnids:
            problems.append("found no folder; expected one a class, called by its wnid, such as n01443537")
        elif unknown:
            inside = [f for f in unknown if known.intersection(folders_in(self.path / f))]
            hint = f". {self.path / inside[0]} holds folders of classes: is that the path meant?" if inside else ""
            problems.append(
                f"found {len(unknown)} folders that are not classes of the taxonomy: {some(unknown)}; "
                f"expected wnids such as n01443537. Rename or move them, or choose their taxonomy{hint}"
            )
        loose = [entry.name for entry in pictures_in(self.path)]
        if loose:
            problems.append(
                f"found {len(loose)} pictures outside the folders of classes: {some(loose)}; "
                "expected each in the folder of its class"
            )
        if problems:
            raise ImageSetError("\n".join(f"image set {self.name}: {self.path}: {problem}" for problem in problems))
