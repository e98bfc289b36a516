"""The protocol of a text recogniser and its loader."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from laionet_assets.ocr.loading import RecognizerSpec, recognizer_identity

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class RecognizedText:
    """What is written in a picture.

    `text` holds the texts of all boxes in reading order, joined with one space, in the case that was read; empty if
    there is none, None if `error` says why nothing could be recognised. `boxes` counts the pieces of text, and
    `confidence` is their mean probability (0 to 1), None without text.
    """

    text: str | None
    boxes: int = 0
    confidence: float | None = None
    error: str | None = None

    @classmethod
    def of(cls, pieces: list[tuple[str, float]]) -> "RecognizedText":
        """The text of boxes in reading order, each with its probability; blank ones do not count."""
        read = [(text.strip(), float(score)) for text, score in pieces if text.strip()]
        confidence = sum(score for _, score in read) / len(read) if read else None
        return cls(" ".join(text for text, _ in read), len(read), confidence)


class TextRecognizer(Protocol):
    """Pictures to text."""

    name: str
    """The user's label."""
    identity: str
    """What the text depends on."""

    def recognize(self, image: "Image") -> RecognizedText:
        """The text in an RGB picture. A picture that cannot be read gives a text with `error`; nothing is raised.

        Deterministic. May be called from several threads at once.
        """
        ...


def load_recognizer(spec: RecognizerSpec) -> TextRecognizer:
    """The recogniser of a spec, loaded once a process for each spec and content of its weights.

    Raises RecognizerError for what a user can put right: a package or hub out of reach, unfitting weights.
    """
    return _load(spec, recognizer_identity(spec))


@lru_cache(maxsize=4)
def _load(spec: RecognizerSpec, identity: str) -> TextRecognizer:
    from laionet_assets.ocr.rapid import RapidRecognizer
    from laionet_assets.ocr.trocr import TrocrRecognizer

    loaders = {"rapidocr": RapidRecognizer, "trocr": TrocrRecognizer}
    return loaders[spec.provider](spec, identity)
