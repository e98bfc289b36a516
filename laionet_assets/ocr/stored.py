"""Stored texts: which pictures were read before, which are read now, and the rows of core.image_text.

A text is stored once per recogniser and content (sha256). Not here: which pictures are wanted, where their bytes lie,
and writing and publishing tables.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from laionet_assets.models.spec import ModelSpec
from laionet_assets.ocr.loading import load_recognizer, recognizer_identity
from laionet_assets.ocr.recognizer import TextRecognizer
from laionet_assets.ocr.text_stream import recognize_stream
from laionet_assets.warehouse.checkpoint import chunk_name
from laionet_assets.warehouse.lake import write_whole

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_PICTURES = 256
"""Pictures in a chunk of a checkpoint."""

ReadPictures = Callable[[Sequence[str]], Iterable[tuple[str, bytes | str]]]
"""Contents (sha256) to their bytes, or to the reason why there are none; each once, in any order."""


@dataclass(frozen=True, slots=True)
class PictureText:
    """What is written in the picture of this content: a row of core.image_text without its part.

    `recognizer` is the identity of what read it, None where there were no bytes to read. `text` is None exactly if
    `error` says why.
    """

    sha256: str
    recognizer: str | None
    text: str | None
    boxes: int = 0
    confidence: float | None = None
    error: str | None = None


def read_missing(
    spec: ModelSpec,
    wanted: Collection[str],
    pictures: ReadPictures,
    *,
    known: Mapping[str, PictureText],
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
    processes: bool = False,
    log: Callable[[str], None] = lambda text: None,
    load: Callable[[ModelSpec], TextRecognizer] = load_recognizer,
) -> dict[str, PictureText]:
    """The texts of all pictures wanted (sha256), by content: those in `known` that this recogniser read, the others
    read now. The recogniser is loaded only if one is missing; `progress` counts the missing ones, `log` is told where
    and how fast they were read. `processes`: those of `recognize_stream`.

    With `checkpoint`, a folder, finished texts are kept there chunk by chunk and found again by a later call. The
    caller removes it (`warehouse.checkpoint`) once the table is published. Raises ModelError as
    `load_recognizer`.
    """
    identity = recognizer_identity(spec)
    asked = frozenset(wanted)
    found = {
        text.sha256: text
        for text in (*_saved(checkpoint), *known.values())
        if text.recognizer == identity and text.sha256 in asked
    }
    missing = sorted(asked - found.keys())
    if not missing:
        return found
    recognizer, started = load(spec), time.monotonic()
    read = _read(pictures(missing), recognizer, workers=workers, processes=processes, log=log)
    texts = _counted(read, len(missing), progress)
    while chunk := list(islice(texts, CHUNK_PICTURES)):
        found |= {text.sha256: text for text in chunk}
        if checkpoint is not None:
            name = chunk_name(identity, (text.sha256 for text in chunk))
            write_whole(checkpoint / f"{name}.parquet", partial(_write, chunk))
    log(f"{recognizer.told()}, {len(missing) / max(time.monotonic() - started, 1e-9):,.1f} pictures a second")
    return found


def texts_of(table: "pa.Table") -> dict[str, PictureText]:
    """The texts in a table with (at least) the columns of a `PictureText`, by content."""
    columns = list(PictureText.__slots__)
    return {row["sha256"]: PictureText(**row) for row in table.select(columns).to_pylist()}


def _read(
    pictures: Iterable[tuple[str, bytes | str]],
    recognizer: TextRecognizer,
    *,
    workers: int,
    processes: bool,
    log: Callable[[str], None],
) -> Iterator[PictureText]:
    """The text of every picture; those without bytes come last."""
    without_bytes: dict[str, str] = {}

    def with_bytes() -> Iterator[tuple[str, bytes]]:
        for sha256, content in pictures:
            if isinstance(content, bytes):
                yield sha256, content
            else:
                without_bytes[sha256] = content

    for outcome in recognize_stream(with_bytes(), recognizer, workers=workers, processes=processes, log=log):
        read = outcome.recognized
        yield PictureText(
            str(outcome.image_id), recognizer.identity, read.text, read.boxes, read.confidence, error=read.error
        )
    for sha256, reason in without_bytes.items():
        yield PictureText(sha256, None, None, error=reason)


def _counted(
    texts: Iterator[PictureText], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[PictureText]:
    for done, text in enumerate(texts, start=1):
        yield text
        if progress is not None:
            progress(done, total)


def _write(chunk: Sequence[PictureText], handle: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([asdict(text) for text in chunk]), handle)


def _saved(checkpoint: Path | None) -> Iterator[PictureText]:
    """Texts in the chunks of a checkpoint."""
    import pyarrow.parquet as pq

    for file in sorted(checkpoint.glob("*.parquet")) if checkpoint is not None else ():
        yield from texts_of(pq.read_table(file)).values()
