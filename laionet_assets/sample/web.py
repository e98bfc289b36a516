"""Files of the synthetic web: parts in LAION-400M's schema, the truth beside them, a folder that is drawn only once.

The same seed gives the same bytes (with one version of pyarrow). Rows are invented in `rows`; pictures are not files,
but drawn when asked for.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.errors import UserError
from laionet_assets.sample.causes import WHOLE, write_causes
from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.rows import part_rows

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
"""Raised whenever the rows that a seed gives change: folders of another version are drawn again."""
PARTS = 4
ROWS = 5_000
FOLDER = "synthetic-web"
STAMP = ".synthetic-web.json"

Stamp = dict[str, Any]


def sample_web_folder(cache: Path, *, parts: int = PARTS, rows: int = ROWS, effect: float = WHOLE) -> Path:
    """The folder of the synthetic web inside `cache`, drawn if it is missing, of another version, size or effect.

    Only the parts that this function drew are ever drawn again: files that were added, changed or removed since stay
    so until one of these changes, and other files stay for ever. Raises UserError where the folder holds
    parts that were not drawn here.
    """
    folder = cache / FOLDER
    names = [_part_name(number) for number in range(parts)]
    wanted = {"synthetic": True, "version": VERSION, "rows": rows, "effect": effect, "parts": names}
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _draw_folder(folder, wanted)
    stamp = _stamp(folder)
    if stamp != wanted:
        _redraw(folder, wanted, drawn_before=set(stamp.get("parts", ())))
    return folder


def write_sample_web(
    folder: Path, *, seed: int = 0, parts: int = PARTS, rows: int = ROWS, effect: float = WHOLE
) -> list[Path]:
    """Write parts 0 .. parts - 1 of the synthetic web, their truth and its causes; returns the paths of the parts in
    order.
    """
    classes = {one.wnid: {"name": one.name, "diversity": one.diversity} for one in sample_classes()}
    write_causes(folder / "truth", {"effect": effect, "seed": seed, "classes": classes})
    return [write_sample_part(folder, number, seed=seed, rows=rows, effect=effect) for number in range(parts)]


def write_sample_part(folder: Path, number: int, *, seed: int = 0, rows: int = ROWS, effect: float = WHOLE) -> Path:
    """Write one part, `part-0000N.snappy.parquet`, and its truth, `truth/part-0000N.parquet`; returns the part's path.

    Each file appears whole under its name (written aside, then renamed). The truth comes first, so that a part is
    never without it.
    """
    import pyarrow as pa

    drawn = part_rows(seed=seed, part=number, rows=rows, effect=effect)
    truth = pa.Table.from_pylist([row.truth(position, number) for position, row in enumerate(drawn)], truth_schema())
    _write(truth, truth_path(folder, number))
    path = folder / _part_name(number)
    _write(pa.Table.from_pylist([row.published for row in drawn], part_schema()), path)
    return path


def truth_path(folder: Path, number: int) -> Path:
    """Where the truth of a part is: in a folder of its own, which a glob over the parts does not see."""
    return folder / "truth" / f"part-{number:05d}.parquet"


def part_schema() -> "pa.Schema":
    """LAION-400M's columns, all nullable."""
    import pyarrow as pa

    return pa.schema(
        [
            ("SAMPLE_ID", pa.int64()),
            ("URL", pa.string()),
            ("TEXT", pa.string()),
            ("HEIGHT", pa.int32()),
            ("WIDTH", pa.int32()),
            ("LICENSE", pa.string()),
            ("NSFW", pa.string()),
            ("similarity", pa.float64()),
        ]
    )


def truth_schema() -> "pa.Schema":
    """One row per row of the part.

    row and sample_id (row + 100,000,000 x part); kind, the recipe or trap of the caption; sense of the class word
    (true, other, none); depicted, the class that the picture shows, or null; mentioned, the classes that a reader
    would say the caption names; expected_paper and expected_corrected, the classes that the two matching profiles
    must find; style and picture_seed, which with `depicted` decide the picture.
    """
    import pyarrow as pa

    wnids = pa.list_(pa.string())
    return pa.schema(
        [
            ("row", pa.int64()),
            ("sample_id", pa.int64()),
            ("kind", pa.string()),
            ("sense", pa.string()),
            ("depicted", pa.string()),
            ("mentioned", wnids),
            ("expected_paper", wnids),
            ("expected_corrected", wnids),
            ("style", pa.string()),
            ("picture_seed", pa.int64()),
        ]
    )


def _part_name(number: int) -> str:
    return f"part-{number:05d}.snappy.parquet"


def _write(table: "pa.Table", path: Path) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.staged")
    pq.write_table(table, staged, compression="snappy", version="2.6", data_page_version="1.0", store_schema=False)
    os.replace(staged, path)


def _stamp(folder: Path) -> Stamp:
    path = folder / STAMP
    return json.loads(path.read_text()) if path.exists() else {}


def _set_stamp(folder: Path, stamp: Stamp) -> None:
    staged = folder / f"{STAMP}.{os.getpid()}"
    staged.write_text(json.dumps(stamp, indent=1) + "\n")
    os.replace(staged, folder / STAMP)


def _draw_folder(folder: Path, wanted: Stamp) -> None:
    """Draw the whole folder aside and rename it; whoever comes second leaves what the first one drew."""
    aside = Path(tempfile.mkdtemp(prefix=f".{FOLDER}.", dir=folder.parent))
    aside.chmod(0o755)
    try:
        _draw(aside, wanted)
        os.rename(aside, folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _redraw(folder: Path, wanted: Stamp, *, drawn_before: Set[str]) -> None:
    """Draw the parts again in place. The stamp names them first, so that a run cut short is taken up by the next."""
    foreign = sorted(name for name in wanted["parts"] if (folder / name).exists() and name not in drawn_before)
    if foreign:
        raise UserError(
            f"{folder} holds {', '.join(foreign)}, which this project did not draw. The synthetic web needs these names"
            f" for its own parts: move the files away (yours may be {_part_name(len(wanted['parts']))} or higher)"
            " or choose another folder."
        )
    _set_stamp(folder, wanted | {"version": None, "parts": sorted(drawn_before | set(wanted["parts"]))})
    for name in drawn_before - set(wanted["parts"]):
        for path in (folder / name, folder / "truth" / name.replace(".snappy", "")):
            path.unlink(missing_ok=True)
    _draw(folder, wanted)


def _draw(folder: Path, wanted: Stamp) -> None:
    write_sample_web(folder, parts=len(wanted["parts"]), rows=wanted["rows"], effect=wanted["effect"])
    _set_stamp(folder, wanted)
