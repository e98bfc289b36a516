"""What a text recogniser is and gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

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
        """The text in an RGB picture. A picture that cannot be read gives a text with `error`. Raises RuntimeError
        where a card fails, or has too little memory: that is no fault of the picture.

        Deterministic. May be called from several threads at once.
        """
        ...

    @property
    def anywhere(self) -> "Callable[[Image], RecognizedText] | None":
        """The same as `recognize`, as a function that can be sent to another process and loads its models there; None
        if that makes no sense: a card is used from one process.
        """
        ...

    def told(self) -> str:
        """Where it computes, for people."""
        ...
