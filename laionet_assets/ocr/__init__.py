"""Text in pictures: what is written in them, and whether that names their class.

Here: the recognisers behind one small protocol (`recognizer`): RapidOCR with the models of its wheel (`rapid`), TrOCR
through transformers (`trocr`); naming and loading one (`loading`); many pictures through one (`text_stream`); what was
read before (`stored`). Not here: which pictures are read, whether their text names a class (`sql/macros`), where the
rows go, and what a recipe drops.
"""

from laionet_assets.ocr.loading import load_recognizer, parse_recognizer, recognizer_identity
from laionet_assets.ocr.recognizer import RecognizedText, TextRecognizer
from laionet_assets.ocr.text_stream import TextOutcome, recognize_stream

__all__ = [
    "RecognizedText",
    "TextOutcome",
    "TextRecognizer",
    "load_recognizer",
    "parse_recognizer",
    "recognize_stream",
    "recognizer_identity",
]
