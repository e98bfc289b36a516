"""Label lists: which images each class has, as published beside LAIONet and ImageNet's validation set.

Here: reading them, pickles included, without running what a pickle asks for. Not here: results of models
(`correctness`).

A list is one of: a mapping from wnid to image ids (`wnid2laionindices`), a mapping from image id to wnid
(`imagename2wnid`), or the wnids alone, once or under several names; as JSON, or as a pickle of these.
"""

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laionet_assets.errors import UserError, with_causes

_WNID = re.compile(r"n\d{8}")
_EXPECTED = (
    "expected a mapping from wnid to a list of image ids, a mapping from image id to wnid, or a list of wnids, "
    "as .json or .pkl"
)


class LabelListError(UserError):
    """A file is no label list. The message says what was found, expected, and what to do."""


@dataclass(frozen=True)
class LabelList:
    """Classes in order, and the images of each; `images` is None where the list has classes alone."""

    wnids: tuple[str, ...]
    images: Mapping[str, tuple[str, ...]] | None


def read_label_list(path: Path) -> LabelList:
    """The label list in a file. Classes without an image are kept. Raises LabelListError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelListError(f"label list {path}: {error.strerror}; {_EXPECTED}") from None
    try:
        data = json.loads(content) if path.suffix.lower() == ".json" else _Unpickler.load_bytes(content)
    except Exception as error:  # what is damaged fails in as many ways as there are files
        raise LabelListError(f"label list {path}: not readable: {with_causes(error)}; {_EXPECTED}") from None
    return _label_list(data, where=str(path))


def label_counts(image_set: str, labels: LabelList) -> list[dict[str, Any]]:
    """The rows of raw.published_labels: images of each class, 0 without any, None where the list has classes alone."""
    images = labels.images
    return [
        {"image_set": image_set, "wnid": wnid, "images": None if images is None else len(images[wnid])}
        for wnid in sorted(labels.wnids)
    ]


def _label_list(data: object, *, where: str) -> LabelList:
    if isinstance(data, list | tuple):
        wnids, images = [str(item) for item in data], None
    elif isinstance(data, Mapping) and _are_named_lists(data):
        wnids, images = list(next(iter(data.values()))), None
        if any(set(other) != set(wnids) for other in data.values()):
            raise LabelListError(
                f"label list {where}: found different classes under {', '.join(map(str, data))}; "
                "expected the same under every name: keep one of them"
            )
    elif isinstance(data, Mapping) and data and all(isinstance(value, list | tuple) for value in data.values()):
        images = {str(wnid): tuple(str(image) for image in found) for wnid, found in data.items()}
        wnids = list(images)
    elif isinstance(data, Mapping) and data:
        listed: dict[str, list[str]] = {}
        for image, wnid in data.items():
            listed.setdefault(str(wnid), []).append(str(image))
        wnids, images = sorted(listed), {wnid: tuple(found) for wnid, found in listed.items()}
    else:
        raise LabelListError(f"label list {where}: found {type(data).__name__} {str(data)[:60]!r}; {_EXPECTED}")
    strangers = [wnid for wnid in wnids if not _WNID.fullmatch(wnid)]
    if strangers or not wnids or len(set(wnids)) != len(wnids):
        found = f"{strangers[0][:60]!r} where a wnid should be" if strangers else "no wnid, or one twice"
        raise LabelListError(f"label list {where}: found {found}; {_EXPECTED}")
    return LabelList(tuple(wnids), images)


def _are_named_lists(data: Mapping[Any, Any]) -> bool:
    """Whether lists of wnids stand under names that are none, as `clip_keys` and `mpnet_keys` of LAIONet do."""
    return bool(data) and all(
        not _WNID.fullmatch(str(name))
        and isinstance(listed, list | tuple)
        and listed
        and all(isinstance(item, str) and _WNID.fullmatch(item) for item in listed)
        for name, listed in data.items()
    )


class _Unpickler(pickle.Unpickler):
    """Builds what Python's own containers, numbers and texts are made of, and numpy's numbers and texts as Python's;
    anything else that the pickle names is an error, and is neither imported nor called.
    """

    @classmethod
    def load_bytes(cls, content: bytes) -> Any:
        import io

        return cls(io.BytesIO(content)).load()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return _Dtype
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
            return _scalar
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no label list needs")


class _Dtype:
    """Stands for numpy.dtype in a pickle: remembers its code and byte order."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _encode(text: str, encoding: str) -> bytes:
    """How the oldest pickles write bytes."""
    return text.encode(encoding)


def _scalar(dtype: _Dtype, raw: bytes) -> str | int:
    """A numpy text or integer as Python's."""
    is_big = dtype.order == ">"
    kind = dtype.code[:1]
    if kind == "U":
        return raw.decode("utf-32-be" if is_big else "utf-32-le").rstrip("\0")
    if kind in ("i", "u"):
        return int.from_bytes(raw, "big" if is_big else "little", signed=kind == "i")
    raise pickle.UnpicklingError(f"it has a numpy value of type {dtype.code}; expected texts or integers")
