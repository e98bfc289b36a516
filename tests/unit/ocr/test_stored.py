"""Stored texts: what is read, what is reused, what a killed run leaves. Real recognisers: tests/integration."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from laionet_assets.models.spec import ModelSpec
from laionet_assets.ocr import RecognizedText, TextRecognizer, parse_recognizer, recognizer_identity
from laionet_assets.ocr import stored as module
from laionet_assets.ocr.stored import PictureText, read_missing, texts_of
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import as_documented

SPEC = parse_recognizer("rapidocr:fast")
IDENTITY = recognizer_identity(SPEC)


class WidthReader:
    """A recogniser that reads every picture as its width in words."""

    name, identity = "width", IDENTITY

    anywhere = None

    def told(self) -> str:
        return "the width"

    def recognize(self, image: Image.Image) -> RecognizedText:
        return RecognizedText.of([(str(image.width), 0.5)])


def loading(spec: ModelSpec) -> TextRecognizer:
    return WidthReader()


def never(spec: ModelSpec) -> TextRecognizer:
    raise AssertionError("nothing is missing, so nothing is loaded")


def png(width: int) -> bytes:
    buffer = BytesIO()
    Image.new("L", (width, 5)).save(buffer, "PNG")
    return buffer.getvalue()


class Store:
    """Pictures of a width each, by a made-up content hash (the width); `asked` is what was asked for."""

    def __init__(self, *, fail_after: int | None = None, lost: Sequence[str] = ()) -> None:
        self.asked: list[str] = []
        self._fail_after, self._lost = fail_after, lost

    def __call__(self, sha256s: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        for i, sha256 in enumerate(sha256s):
            if i == self._fail_after:
                raise KeyboardInterrupt
            self.asked.append(sha256)
            yield sha256, "lost" if sha256 in self._lost else png(int(sha256))


def read(
    wanted: Iterable[int],
    store: Store,
    *,
    known: Iterable[PictureText] = (),
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    load: Callable[[ModelSpec], TextRecognizer] = loading,
) -> dict[str, PictureText]:
    return read_missing(
        SPEC,
        {str(width) for width in wanted},
        store,
        known={text.sha256: text for text in known},
        checkpoint=checkpoint,
        progress=progress,
        load=load,
    )


def test_every_picture_is_read_once_and_counted() -> None:
    counts: list[tuple[int, int]] = []
    found = read(range(10, 13), Store(), progress=lambda done, total: counts.append((done, total)))
    assert found["11"] == PictureText("11", IDENTITY, "11", boxes=1, confidence=0.5)
    assert found.keys() == {"10", "11", "12"}
    assert counts == [(1, 3), (2, 3), (3, 3)]


def test_what_this_recognizer_read_before_is_not_read_again() -> None:
    mine = [PictureText("9", IDENTITY, "not wanted"), PictureText("10", IDENTITY, "as before", 2, 0.9)]
    known = [*mine, PictureText("11", "another", "old")]
    store = Store()
    found = read(range(10, 13), store, known=known)
    assert store.asked == ["11", "12"]
    assert {sha256: text.text for sha256, text in found.items()} == {"10": "as before", "11": "11", "12": "12"}
    assert read(range(10, 13), store, known=found.values(), load=never) == found


def test_an_unreadable_picture_is_a_row_and_one_without_bytes_is_tried_again() -> None:
    broken = PictureText("10", IDENTITY, None, error="truncated")
    found = read([10, 11, 12], Store(lost=["11"]), known=[broken])
    assert found["10"] == broken
    assert found["11"] == PictureText("11", None, None, error="lost")
    store = Store()
    assert read([10, 11, 12], store, known=found.values())["11"].text == "11"
    assert store.asked == ["11"]


def test_a_killed_run_goes_on_where_it_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_PICTURES", 4)
    undisturbed = read(range(10, 30), Store())
    with pytest.raises(KeyboardInterrupt):
        read(range(10, 30), Store(fail_after=15), checkpoint=tmp_path)
    kept = len(list(tmp_path.iterdir())) * 4
    assert 8 <= kept <= 12
    store = Store()
    resumed = read(range(8, 30), store, checkpoint=tmp_path)
    assert len(store.asked) == 22 - kept
    assert {sha256: resumed[sha256] for sha256 in undisturbed} == undisturbed
    assert read(range(8, 30), store, checkpoint=tmp_path, load=never) == resumed


def test_a_table_holds_all_of_a_text() -> None:
    texts = [PictureText("a", IDENTITY, "", 0, None), PictureText("b", None, None, error="lost")]
    rows = [{"source": "s", "part": "p", **asdict(text)} for text in texts]
    assert list(texts_of(as_documented(load_project().tables["core.image_text"], rows)).values()) == texts
