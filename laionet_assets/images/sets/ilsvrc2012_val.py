"""The layout `ilsvrc2012-val`: the 50,000 validation images of ImageNet as published, labelled by its development kit.

    ILSVRC2012_val_00000001.JPEG ... ILSVRC2012_val_00050000.JPEG
    ILSVRC2012_devkit_t12/data/meta.mat, ILSVRC2012_validation_ground_truth.txt      (or ILSVRC2012_devkit_t12.tar.gz)

Line N of the ground truth is the ILSVRC id (1 to 1000) of the image with the number N. An ILSVRC id is not a class
index: meta.mat gives its wnid. The kit is looked for in the folder of the images, beside it, or where `devkit` says.
In place of the kit, Kaggle's LOC_val_solution.csv will do (`ImageId,PredictionString`, a wnid before its boxes). Images
already sorted into folders by wnid need neither, nor do those with their wnid behind the name
(ILSVRC2012_val_00000001_n01751748.JPEG). Either way an image's id is its file name.
"""

import csv
import io
import re
import tarfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from laionet_assets.images.sets.imagefolder import ImageFolder, wnid_behind
from laionet_assets.images.sets.items import (
    FileImageSet,
    ImageSetError,
    LabelledFile,
    Rest,
    folders_in,
    pictures_in,
    readable,
    require_folder,
    some,
)

META_FILE = "meta.mat"
GROUND_TRUTH_FILE = "ILSVRC2012_validation_ground_truth.txt"
CLASSES = 1000
PICTURES = 50_000
KAGGLE_FILE = "LOC_val_solution.csv"
KAGGLE_LEVELS = 4
"""How far above the images Kaggle's file lies: ILSVRC/Data/CLS-LOC/val."""
_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})(?:_n\d{8})?\.JPEG", re.IGNORECASE)
_KITS = ("ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "devkit", ".")


@dataclass(frozen=True)
class Devkit:
    """What the development kit, or Kaggle's file, says: the wnid of the image with the number N is `wnids[N - 1]`."""

    origin: Path
    wnids: tuple[str, ...]


class Ilsvrc2012Val(FileImageSet):
    """The validation images in one folder, labelled by the kit."""

    def __init__(self, name: str, path: Path, *, devkit: Devkit) -> None:
        self.name = name
        self.path = path
        self._devkit = devkit
        self.expected = len(devkit.wnids)
        require_folder(name, path)
        _check_names(name, path)
        self._check()

    def files(self, rest: Rest) -> Iterator[LabelledFile]:
        for entry in pictures_in(self.path, rest):
            status = entry.stat()
            wnid = self._devkit.wnids[_number_of(entry.name) - 1]
            yield LabelledFile(entry.name, wnid, entry.path, status.st_size, status.st_mtime_ns)

    def _check(self) -> None:
        names = [entry.name for entry in pictures_in(self.path)]
        where = f"image set {self.name}: {self.path}"
        expected = len(self._devkit.wnids)
        beyond = [name for name in names if not 1 <= _number_of(name) <= expected]
        if beyond:
            raise ImageSetError(
                f"{where}: found {len(beyond)} images beyond the {expected} labels of {self._devkit.origin}: "
                f"{some(beyond)}. Use the development kit of ILSVRC2012."
            )


class SortedIlsvrc2012Val(FileImageSet):
    """The validation images sorted into folders by wnid, as many tools leave them, or with it behind their names."""

    expected = PICTURES

    def __init__(self, name: str, path: Path, *, wnids: Collection[str]) -> None:
        self.name = name
        self._folder = ImageFolder(name, path, wnids=wnids)

    def files(self, rest: Rest) -> Iterator[LabelledFile]:
        before = ""
        for file in sorted(self._folder.files(rest), key=lambda file: file.image_id.rpartition("/")[2]):
            image_id = file.image_id.rpartition("/")[2]
            if not _IMAGE.fullmatch(image_id) or image_id == before:
                raise ImageSetError(
                    f"image set {self.name}: {self._folder.path}: found {file.image_id}; expected files called "
                    "ILSVRC2012_val_00000001.JPEG and so on, each once. For others choose the layout imagefolder."
                )
            before = image_id
            yield LabelledFile(image_id, file.wnid, file.path, file.size_bytes, file.modified_ns)


def open_ilsvrc2012_val(
    name: str, path: Path, *, imagenet_wnids: Sequence[str], devkit: Path | None = None
) -> FileImageSet:
    """The validation images at `path`, flat or sorted.

    Raises ImageSetError if the images or the kit are not there or not those of ILSVRC2012.
    """
    require_folder(name, path)
    pictures = [entry.name for entry in pictures_in(path)]
    is_sorted = not pictures and bool(set(imagenet_wnids).intersection(folders_in(path)))
    if is_sorted or (pictures and not folders_in(path) and all(map(wnid_behind, pictures))):
        return SortedIlsvrc2012Val(name, path, wnids=imagenet_wnids)
    _check_names(name, path)
    return Ilsvrc2012Val(name, path, devkit=read_devkit(name, path, devkit, imagenet_wnids))


def read_devkit(name: str, images: Path, devkit: Path | None, imagenet_wnids: Sequence[str]) -> Devkit:
    """The labels of the kit: given (a folder, the published archive, or Kaggle's file), or near the images.

    Raises ImageSetError if there is none, or if its classes are not the 1,000 of ImageNet-1k.
    """
    candidates = [devkit] if devkit else [folder / kit for folder in (images, images.parent) for kit in _KITS]
    for candidate in candidates:
        contents = _contents(name, candidate)
        if contents:
            meta, ground_truth = contents
            break
    else:
        above = [images, *images.absolute().parents[:KAGGLE_LEVELS]]
        solutions = [devkit] if devkit else [folder / KAGGLE_FILE for folder in above]
        for solution in solutions:
            if solution.suffix == ".csv" and solution.is_file():
                return _read_solution(name, solution, imagenet_wnids)
        looked = ", ".join(str(candidate) for candidate in candidates)
        raise ImageSetError(
            f"image set {name}: found no development kit ({META_FILE} and {GROUND_TRUTH_FILE}); looked in {looked}. "
            f"Put ILSVRC2012_devkit_t12 (or its tar.gz), or Kaggle's {KAGGLE_FILE}, beside the images, or name it with "
            "`devkit`."
        )
    where = f"image set {name}: {candidate}"
    wnid_of = wnids_by_ilsvrc_id(meta, where=where)
    wrong = sorted(set(wnid_of.values()).symmetric_difference(imagenet_wnids))
    if wrong:
        raise ImageSetError(
            f"{where}: {META_FILE} and ImageNet-1k differ in {len(wrong)} classes: {some(wrong)}. "
            "Use the development kit of ILSVRC2012 (t12)."
        )
    return Devkit(candidate, _labels(ground_truth, wnid_of, where=where))


def wnids_by_ilsvrc_id(meta: bytes, *, where: str = META_FILE) -> dict[int, str]:
    """The 1,000 leaf classes of a meta.mat, by ILSVRC id. Raises ImageSetError if it is not one.

    `meta` holds one record a synset, leaves and their ancestors; ids of leaves are 1 to 1000 and they have no children.
    """
    from scipy.io import loadmat

    try:
        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"].ravel()
        records = [(int(s["ILSVRC2012_ID"]), str(s["WNID"]), int(s["num_children"])) for s in synsets]
    except Exception as error:  # whatever the reader meets in a file that is something else
        raise ImageSetError(
            f"{where}: {META_FILE} is not readable as the synsets of ILSVRC2012 ({type(error).__name__}: {error}). "
            "Extract the development kit again."
        ) from None
    leaves = sorted((ilsvrc_id, wnid) for ilsvrc_id, wnid, children in records if children == 0)
    if [ilsvrc_id for ilsvrc_id, _ in leaves] != list(range(1, CLASSES + 1)):
        raise ImageSetError(
            f"{where}: found {len(leaves)} classes without children in {META_FILE}; expected {CLASSES}, with the ids "
            f"1 to {CLASSES}. Use the development kit of ILSVRC2012 (t12)."
        )
    return dict(leaves)


def _number_of(name: str) -> int:
    """The number in the name of a validation image, from 1. Raises ValueError for another name."""
    found = _IMAGE.fullmatch(name)
    if found is None:
        raise ValueError(f"found {name!r}, expected ILSVRC2012_val_00000001.JPEG or the like")
    return int(found[1])


def _check_names(name: str, path: Path) -> None:
    """Raises ImageSetError unless a folder holds validation images and no other pictures."""
    names = [entry.name for entry in pictures_in(path)]
    strange = [each for each in names if not _IMAGE.fullmatch(each)]
    if not names or strange:
        inside = [folder for folder in folders_in(path) if _holds_images(path / folder)]
        hint = f" Is {path / inside[0]} meant?" if inside else ""
        found = f"{len(strange)} other pictures: {some(strange)}" if strange else "no picture"
        raise ImageSetError(
            f"image set {name}: {path}: found {found}; expected ILSVRC2012_val_00000001.JPEG and so on, and nothing "
            f"else. Extract ILSVRC2012_img_val.tar there, or correct the path.{hint}"
        )


def _read_solution(name: str, file: Path, imagenet_wnids: Sequence[str]) -> Devkit:
    """The labels of Kaggle's file. Raises ImageSetError naming the lines that have none."""
    known, wrong = frozenset(imagenet_wnids), list[str]()
    wnids: dict[int, str] = {}
    with readable(name, file):
        lines = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))
    for number, fields in enumerate(lines[1:], 2):
        image = _IMAGE.fullmatch(f"{fields[0]}.JPEG") if len(fields) == 2 else None
        wnid = fields[1].split(" ", 1)[0] if len(fields) == 2 else ""
        if image is None or wnid not in known:
            wrong.append(f"line {number}")
        else:
            wnids[int(image[1])] = wnid
    if wrong or sorted(wnids) != list(range(1, len(wnids) + 1)) or not wnids:
        found = f"{len(wrong)} other lines: {some(wrong)}" if wrong else f"{len(wnids):,} images, not all from 1 on"
        raise ImageSetError(
            f"image set {name}: {file}: found {found}; expected the columns ImageId, PredictionString, and a line such "
            "as ILSVRC2012_val_00000001,n01751748 111 108 230 366 for every image. Download it again."
        )
    return Devkit(file, tuple(wnids[number] for number in range(1, len(wnids) + 1)))


def _contents(name: str, kit: Path) -> tuple[bytes, bytes] | None:
    """meta.mat and the ground truth of a kit; None where it does not have both."""
    if kit.is_dir():
        for folder in (kit / "data", kit):
            files = (folder / META_FILE, folder / GROUND_TRUTH_FILE)
            if all(file.is_file() for file in files):
                return files[0].read_bytes(), files[1].read_bytes()
    elif kit.is_file() and kit.suffix != ".csv":
        with readable(name, kit), tarfile.open(kit) as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}
            if META_FILE in members and GROUND_TRUTH_FILE in members:
                return _read(archive, members[META_FILE]), _read(archive, members[GROUND_TRUTH_FILE])
    return None


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, f"{member.name} is no file"
    return file.read()


def _labels(ground_truth: bytes, wnid_of: dict[int, str], *, where: str) -> tuple[str, ...]:
    lines = ground_truth.decode("ascii", "replace").split()
    wrong = [f"line {n}: {line}" for n, line in enumerate(lines, 1) if not (line.isdigit() and int(line) in wnid_of)]
    if wrong or not lines:
        found = f"{len(wrong)} other lines: {some(wrong)}" if wrong else "nothing"
        raise ImageSetError(
            f"{where}: found {found} in {GROUND_TRUTH_FILE}; expected an id from 1 to {CLASSES} a line. "
            "Extract the development kit again."
        )
    return tuple(wnid_of[int(line)] for line in lines)


def _holds_images(folder: Path) -> bool:
    return any(_IMAGE.fullmatch(entry.name) for entry in pictures_in(folder))
