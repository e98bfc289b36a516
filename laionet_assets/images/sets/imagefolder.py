"""The layout `imagefolder`: one folder a class, with its pictures at any depth below.

    n01443537/0001.jpg
    n01443537/more/0002.png

Folders are called by wnid, all of them by class index of ImageNet-1k (0 to 999), or all of them by name (`goldfish`,
`great_white_shark`, or all lemmas of the class). Or there is no folder, and every picture has its wnid behind its name
(`n01443537_10007_n01443537.JPEG`). An image's id is its path within the set.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from laionet_assets.images.sets.items import (
    EMPTY_CLASS,
    FileImageSet,
    ImageSetError,
    LabelledFile,
    Rest,
    folders_in,
    pictures_below,
    pictures_in,
    require_folder,
    some,
)

_SUFFIX = re.compile(r".*_(n\d{8})\.\w+")


class ImageFolder(FileImageSet):
    """A folder of folders of classes.

    `wnids` are the classes of the taxonomy, `imagenet_wnids` the 1,000 of ImageNet-1k by class index, `lemmas` the
    names of each class. Raises ImageSetError, naming every folder that is not a known class.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        wnids: Collection[str],
        imagenet_wnids: Sequence[str] = (),
        lemmas: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self._known = frozenset(wnids)
        require_folder(name, path)
        folders = folders_in(path)
        self._class_of = self._classes(folders, imagenet_wnids, lemmas or {})
        self._is_flat = not folders and bool(pictures_in(path))
        self._check(folders)

    def files(self, rest: Rest) -> Iterator[LabelledFile]:
        loose = pictures_in(self.path, rest)
        for entry in loose if self._is_flat else ():
            status = entry.stat()
            yield LabelledFile(entry.name, wnid_behind(entry.name), entry.path, status.st_size, status.st_mtime_ns)
        for folder, wnid in sorted(self._class_of.items(), key=lambda item: (item[1], item[0])):
            is_empty = True
            for entry in pictures_below(self.path / folder, rest):
                status, is_empty = entry.stat(), False
                image_id = Path(entry.path).relative_to(self.path).as_posix()
                yield LabelledFile(image_id, wnid, entry.path, status.st_size, status.st_mtime_ns)
            if is_empty:
                rest.add(EMPTY_CLASS, folder)

    def _classes(
        self, folders: Sequence[str], imagenet_wnids: Sequence[str], lemmas: Mapping[str, Sequence[str]]
    ) -> dict[str, str]:
        """The wnid of every folder that is called as a class, by the one way in which all of them are."""
        by_wnid = {folder: folder for folder in folders if folder in self._known}
        if by_wnid or not folders:
            return by_wnid
        if all(folder.isascii() and folder.isdigit() for folder in folders):
            numbers = {folder: int(folder) for folder in folders}
            known = {folder: imagenet_wnids[i] for folder, i in numbers.items() if i < len(imagenet_wnids)}
            return {folder: wnid for folder, wnid in known.items() if wnid in self._known}
        names = _names(lemmas)
        called = {folder: names.get(_plain(folder), set()) & self._known for folder in folders}
        ambiguous = [folder for folder, found in called.items() if len(found) > 1]
        if ambiguous:
            raise ImageSetError(
                f"image set {self.name}: {self.path}: found {len(ambiguous)} folders whose name several classes have: "
                f"{some(ambiguous)}. Call folders by wnid, such as n01443537."
            )
        return {folder: next(iter(found)) for folder, found in called.items() if found}

    def _check(self, folders: Sequence[str]) -> None:
        problems = []
        unknown = [folder for folder in folders if folder not in self._class_of]
        loose = [entry.name for entry in pictures_in(self.path)]
        if self._is_flat:
            unlabelled = [name for name in loose if wnid_behind(name) not in self._known]
            if unlabelled:
                problems.append(
                    f"found no folder and {len(unlabelled)} pictures without a wnid behind their name: "
                    f"{some(unlabelled)}; expected one folder a class, or names such as 1_n01443537.JPEG"
                )
        elif not folders:
            problems.append("found no folder; expected one a class, called by its wnid, such as n01443537")
        elif unknown:
            inside = [f for f in unknown if self._known.intersection(folders_in(self.path / f))]
            hint = f". {self.path / inside[0]} holds folders of classes: is that the path meant?" if inside else ""
            problems.append(
                f"found {len(unknown)} folders that are not classes of the taxonomy: {some(unknown)}; "
                "expected wnids such as n01443537, or all of them class indices or names. Rename or move them, or "
                f"choose their taxonomy{hint}"
            )
        twice = [wnid for wnid, count in Counter(self._class_of.values()).items() if count > 1]
        if twice:
            problems.append(f"found several folders for one class: {some(sorted(twice))}; expected one a class")
        if loose and not self._is_flat and folders:
            problems.append(
                f"found {len(loose)} pictures outside the folders of classes: {some(loose)}; "
                "expected each in the folder of its class"
            )
        if problems:
            raise ImageSetError("\n".join(f"image set {self.name}: {self.path}: {problem}" for problem in problems))


def wnid_behind(name: str) -> str | None:
    """The wnid at the end of a file's name (`ILSVRC2012_val_00000293_n01440764.JPEG`); None where there is none."""
    found = _SUFFIX.fullmatch(name)
    return found[1] if found is not None else None


def _names(lemmas: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """Classes by what a folder of theirs may be called: any lemma, or all of them."""
    names: dict[str, set[str]] = {}
    for wnid, own in lemmas.items():
        for name in {*own, ", ".join(own)}:
            names.setdefault(_plain(name), set()).add(wnid)
    return names


def _plain(name: str) -> str:
    """A name without what people write differently: case, underscores, hyphens, spaces."""
    return " ".join(re.sub(r"[_\-\s]+", " ", name).casefold().split())
