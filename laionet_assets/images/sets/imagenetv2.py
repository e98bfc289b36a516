"""The layout `imagenetv2`: folders called 0 to 999, the class indices of ImageNet-1k.

As published for ImageNet-V2 (matched-frequency, threshold0.7, top-images; Recht et al. 2019). Folders are taken in the
order of their numbers, not of their names (as text, 10 comes before 2), and a number is the position of a class among
the sorted wnids. An image's id is `<class index>/<file>`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from laionet_assets.images.sets.items import (
    FileImageSet,
    ImageSetError,
    LabelledFile,
    Rest,
    folders_in,
    pictures_in,
    require_folder,
    some,
)

CLASSES = 1000
PICTURES = 10_000
NO_FOLDER = "class without a folder"


class ImageNetV2(FileImageSet):
    """Numbered folders. `imagenet_wnids` are the 1,000 wnids of ImageNet-1k by class index.

    Raises ImageSetError, naming every folder that is not a class index.
    """

    expected = PICTURES

    def __init__(self, name: str, path: Path, *, imagenet_wnids: Sequence[str]) -> None:
        if len(imagenet_wnids) != CLASSES:
            raise ValueError(f"found {len(imagenet_wnids)} wnids, expected the {CLASSES} of ImageNet-1k")
        self.name = name
        self.path = path
        self._wnids = imagenet_wnids
        require_folder(name, path)
        self._folders = self._numbered(folders_in(path))

    def files(self, rest: Rest) -> Iterator[LabelledFile]:
        pictures_in(self.path, rest)
        for index in sorted(set(range(CLASSES)) - self._folders.keys()):
            rest.add(NO_FOLDER, str(index))
        for index, folder in sorted(self._folders.items()):
            for entry in pictures_in(self.path / folder, rest):
                status = entry.stat()
                image_id = f"{index}/{entry.name}"
                yield LabelledFile(image_id, self._wnids[index], entry.path, status.st_size, status.st_mtime_ns)

    def _numbered(self, folders: list[str]) -> dict[int, str]:
        numbers = {folder: int(folder) for folder in folders if folder.isascii() and folder.isdigit()}
        problems = []
        wrong = [folder for folder in folders if numbers.get(folder, CLASSES) >= CLASSES]
        if not folders:
            problems.append("found no folder")
        elif wrong:
            inside = [folder for folder in wrong if "0" in folders_in(self.path / folder)]
            hint = f". {self.path / inside[0]} holds numbered folders: is that the path meant?" if inside else ""
            problems.append(f"found {len(wrong)} folders that are no class index: {some(wrong)}{hint}")
        twice = sorted(number for number, count in Counter(numbers.values()).items() if count > 1)
        if twice:
            problems.append(f"found several folders for one class index: {some([str(number) for number in twice])}")
        if problems:
            raise ImageSetError(
                "\n".join(
                    f"image set {self.name}: {self.path}: {problem}; expected folders 0 to {CLASSES - 1}, "
                    "the class indices of ImageNet-1k"
                    for problem in problems
                )
            )
        return {number: folder for folder, number in numbers.items()}
