"""Tiny files of every metadata format, as published: what the tests of this room read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

LAION400M = {
    "SAMPLE_ID": pa.array([2_949_826_000_001, 2_949_826_000_002, None], pa.int64()),
    "URL": pa.array(["http://images.invalid/a.jpg", "http://images.invalid/b.jpg", "http://images.invalid/c.jpg"]),
    "TEXT": pa.array(["a tench on a plate", "Goldfish &amp; friends\n", ""]),
    "HEIGHT": pa.array([320, 1, None], pa.int32()),
    "WIDTH": pa.array([640, 1, None], pa.int32()),
    "LICENSE": pa.array(["?", "cc", None]),
    "NSFW": pa.array(["UNLIKELY", "UNSURE", None]),
    "similarity": pa.array([0.31, -0.5, None], pa.float64()),
}
LAION2B = {
    "URL": LAION400M["URL"],
    "TEXT": LAION400M["TEXT"],
    "WIDTH": pa.array([640.0, 1.0, None], pa.float64()),
    "HEIGHT": pa.array([320.0, 1.0, None], pa.float64()),
    "similarity": pa.array([0.25, 0.5, None], pa.float32()),
    "LANGUAGE": pa.array(["en", "nl", None]),
    "hash": pa.array([-5, 7, None], pa.int64()),
    "punsafe": pa.array([0.5, 0.0, None], pa.float32()),
    "pwatermark": pa.array([0.25, 1.0, None], pa.float32()),
    "aesthetic": pa.array([5.5, 4.5, None], pa.float32()),
}
RELAION = {
    "url": LAION400M["URL"],
    "caption": LAION400M["TEXT"],
    "similarity": pa.array([0.25, 0.5, None], pa.float64()),
    "hash": LAION2B["hash"],
    "punsafe": LAION2B["punsafe"],
    "pwatermark": LAION2B["pwatermark"],
    "width": LAION400M["WIDTH"],
    "height": LAION400M["HEIGHT"],
    "NSFW": LAION400M["NSFW"],
    "LICENSE": LAION400M["LICENSE"],
    "key": pa.array(["000000001", "000000002", None]),
    "md5": pa.array(["d41d8cd98f00b204e9800998ecf8427e", None, None]),
}
COMMONPOOL = {
    "uid": pa.array(["0a1b" * 8, "ffff" * 8, "0" * 32]),
    "url": LAION400M["URL"],
    "text": LAION400M["TEXT"],
    "original_width": pa.array([640, 1, None], pa.int64()),
    "original_height": pa.array([320, 1, None], pa.int64()),
    "clip_b32_similarity_score": pa.array([0.25, 0.5, None], pa.float32()),
    "clip_l14_similarity_score": pa.array([0.75, 0.75, 0.75], pa.float32()),
    "face_bboxes": pa.array([[[0.1, 0.2, 0.3, 0.4]], [], None], pa.list_(pa.list_(pa.float64()))),
    "sha256": pa.array(["ab" * 32, None, None]),
}
COYO = {
    "id": pa.array([841_814_333_321, 2, 3], pa.int64()),
    "url": LAION400M["URL"],
    "text": LAION400M["TEXT"],
    "width": pa.array([640, 1, None], pa.int32()),
    "height": pa.array([320, 1, None], pa.int32()),
    "image_phash": pa.array(["c9b6a7d8469c1959", None, None]),
    "clip_similarity_vitb32": pa.array([0.25, 0.5, None], pa.float32()),
    "clip_similarity_vitl14": pa.array([0.75, 0.75, 0.75], pa.float32()),
    "nsfw_score_opennsfw2": pa.array([0.125, 0.0, None], pa.float32()),
    "nsfw_score_gantman": pa.array([0.5, None, None], pa.float32()),
    "watermark_score": pa.array([0.25, 1.0, None], pa.float32()),
    "aesthetic_score_laion_v2": pa.array([5.5, 5.5, 5.5], pa.float32()),
}
IMG2DATASET = {
    "url": LAION400M["URL"],
    "caption": LAION400M["TEXT"],
    "similarity": LAION400M["similarity"],
    "NSFW": LAION400M["NSFW"],
    "WIDTH": pa.array([9, 9, 9], pa.int32()),
    "key": pa.array(["000000000", "000000001", "000000002"]),
    "status": pa.array(["success", "success", "failed_to_download"]),
    "error_message": pa.nulls(3),
    "width": pa.array([256, 256, None], pa.int32()),
    "height": pa.array([256, 256, None], pa.int32()),
    "original_width": pa.array([640, 1, None], pa.int32()),
    "original_height": pa.array([320, 1, None], pa.int32()),
    "exif": pa.array(["{}", "{}", None]),
    "sha256": pa.array(["ab" * 32, "cd" * 32, None]),
}
GRIT = {
    "key": pa.array(["000000001", "000000002", None]),
    "clip_similarity_vitb32": pa.array([0.25, 0.5, None], pa.float64()),
    "clip_similarity_vitl14": pa.array([0.75, 0.75, 0.75], pa.float64()),
    "id": pa.array([1_795_296_605_919, 2, 3], pa.int64()),
    "url": LAION400M["URL"],
    "caption": LAION400M["TEXT"],
    "width": LAION400M["WIDTH"],
    "height": LAION400M["HEIGHT"],
    "noun_chunks": pa.array([[[0.0, 5.0, 0.1, 0.2, 0.9, 0.8, 0.99]], [], None], pa.list_(pa.list_(pa.float64()))),
    "ref_exps": pa.array([[], [], None], pa.list_(pa.list_(pa.float64()))),
}
CAPTIONS = {"image_url": LAION400M["URL"], "caption": LAION400M["TEXT"], "labels": pa.array([["fish"], [], None])}
RECAP = {
    "url": LAION400M["URL"],
    "re_caption": pa.array(["A plate with a tench.", "Two goldfish.", "Nothing."]),
    "org_caption": LAION400M["TEXT"],
    "key": pa.array(["a", "b", "c"]),
}
PARQUET_TABLES: Mapping[str, Mapping[str, pa.Array]] = {
    "laion400m": LAION400M,
    "laion2b": LAION2B,
    "relaion": RELAION,
    "commonpool": COMMONPOOL,
    "coyo": COYO,
    "img2dataset": IMG2DATASET,
    "grit": GRIT,
    "captions": CAPTIONS,
}
TSV_LINES: Mapping[str, Sequence[str]] = {
    "cc3m": ['a "tench" on a plate\thttp://images.invalid/a.jpg', "it's a goldfish\thttps://images.invalid/b.jpg"],
    "cc12m": ['http://images.invalid/a.jpg\ta "tench" on a plate', "https://images.invalid/b.jpg\tit's a goldfish"],
}
ADAPTER_NAMES = tuple(sorted({*PARQUET_TABLES, *TSV_LINES}))
"""Adapters that detect and read a file of their own without a word in the settings: all but recap."""


def write_format(adapter: str, folder: Path, *, reverse: bool = False) -> Path:
    """A file of that format; with `reverse`, its named columns in the opposite order."""
    if adapter in TSV_LINES:
        return write_text(folder / f"{adapter}.tsv", "\n".join(TSV_LINES[adapter]) + "\n")
    name = "00007.parquet" if adapter == "img2dataset" else "part-00007.snappy.parquet"
    columns = PARQUET_TABLES[adapter]
    return write_parquet(folder / name, dict(reversed(columns.items())) if reverse else columns)


def write_parquet(path: Path, columns: Mapping[str, Any]) -> Path:
    """A Parquet file of these columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)
    return path


def write_text(path: Path, text: str) -> Path:
    """A text file, its line ends as given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def laion400m_with(**columns: Any) -> dict[str, Any]:
    """The LAION-400M table with some columns replaced, or dropped where None."""
    return {name: array for name, array in {**LAION400M, **columns}.items() if array is not None}
