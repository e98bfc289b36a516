"""Models whose device decodes: which files go there as they are, and what becomes of those that it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from laionet_assets.pictures.sight import Refused, TakesFiles
from laionet_assets.pictures.stream import Look, picture_stream


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


@dataclass
class Device:
    """Says what it was given; it cannot decode files of these widths."""

    refuses: frozenset[int] = frozenset()
    batch_pictures: int = 4
    prepare: TakesFiles = field(default_factory=lambda: TakesFiles(pixels))

    def compute(self, inputs: Sequence[np.ndarray]) -> list[str | None]:
        return [self._one(one) for one in inputs]

    def _one(self, given: np.ndarray) -> str | None:
        if given.ndim > 1:
            return f"pixels {given.shape[1]}"
        width = Image.open(BytesIO(given.tobytes())).width
        return None if width in self.refuses else f"file {width}"


@dataclass
class Exact:
    """Says what it was given: always pixels."""

    batch_pictures: int = 4
    prepare: Any = field(default_factory=lambda: pixels)

    def compute(self, inputs: Sequence[np.ndarray]) -> list[str]:
        return [f"exact {one.shape[1]}" for one in inputs]


def picture(width: int, kind: str = "JPEG", mode: str = "RGB", orientation: int = 1) -> bytes:
    exif, buffer = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    Image.new(mode, (width, 20)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def scrambled(width: int) -> bytes:
    """Begins and ends as a JPEG, and is none in between."""
    data = picture(width)
    middle = data.index(b"\xff\xda")
    return data[:middle] + b"\xff\xd9"


CONTENTS = [
    picture(30), picture(31, "PNG"), picture(32, mode="L"), picture(33, orientation=6), picture(34), b"no picture",
    picture(35), scrambled(36), picture(37)[:-9],
]  # fmt: skip


def looks(models: Sequence[Any], **options: Any) -> list[Look]:
    return list(picture_stream(enumerate(CONTENTS), models, workers=2, **options))


def by_picture(found: Sequence[Look], model: int = 0) -> list[tuple[int, str, Any]]:
    return [
        (look.image_id, look.profiles, "refused" if isinstance(look.results[model], Refused) else look.results[model])
        for look in found
    ]


@pytest.mark.parametrize("processes", [False, True])
def test_plain_files_go_as_they_are_and_others_decoded(processes: bool) -> None:
    found = looks([Device(refuses=frozenset({34, 36}))], processes=processes)
    assert by_picture(found) == [
        (0, "both", "file 30"),
        (1, "both", "pixels 31"),
        (2, "corrected", "pixels 32"),
        (3, "paper", "pixels 33"),
        (3, "corrected", "pixels 20"),
        (4, "both", "pixels 34"),
        (5, "both", "refused"),
        (6, "both", "file 35"),
        (7, "both", "refused"),
        (8, "both", "refused"),
    ]
    assert (found[0].width, found[0].height, found[0].mode) == (30, 20, "RGB")
    assert found[8].results[0].reason.startswith("decode: ")


def test_results_do_not_depend_on_which_models_run_together() -> None:
    alone = by_picture(looks([Device(refuses=frozenset({34, 36}))]))
    together = looks([Exact(), Device(refuses=frozenset({34, 36})), Device()])
    assert by_picture(together, 1) == alone
    assert by_picture(together, 0) == by_picture(looks([Exact()]))
    assert by_picture(together, 2)[0] == (0, "both", "file 30")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Any) -> None:
    (look,) = picture_stream([(0, tmp_path / "none.jpg")], [Device(), Exact()])
    assert all(isinstance(one, Refused) and one.reason.startswith("FileNotFoundError") for one in look.results)
