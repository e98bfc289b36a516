"""The captions that the benchmarks work on, and parts of any size made of them.

Real captions where a folder of them is given, else the captions of the synthetic sample. Does not belong here: what is
done with them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 2306
ROW_GROUP_ROWS = 131_072
HOW = (
    "The captions are dealt out again and again, each time shuffled anew (seed fixed), and each copy ends with a space"
    " and its row number in the part, so that no text repeats and none is stored once in a dictionary. What a caption"
    " matches does not change by this. URLs, sizes, tags and similarities are made up, in LAION-400M's columns and"
    f" types; snappy, row groups of {ROW_GROUP_ROWS:,} rows."
)


@dataclass(frozen=True)
class Captions:
    """Where captions come from: `files` in LAION-400M's schema."""

    files: tuple[str, ...]
    are_real: bool

    @property
    def description(self) -> str:
        """What a reader of the report should know of them."""
        return "real LAION-400M captions" if self.are_real else "captions of the synthetic sample"


def find_captions(real: Path | None, scratch: Path) -> Captions:
    """The real captions below `real` (its folder `captions`, or the folder itself), else the synthetic sample, drawn
    in `scratch`.

    Raises FileNotFoundError if `real` is given and holds no part.
    """
    if real is None:
        from laionet_assets.sample import sample_web_folder

        files = sorted(sample_web_folder(scratch).glob("*.parquet"))
        return Captions(tuple(map(str, files)), are_real=False)
    folder = real / "captions" if (real / "captions").is_dir() else real
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no *.parquet; expected parts in LAION-400M's schema")
    return Captions(tuple(str(path.resolve()) for path in files), are_real=True)


def texts(captions: Captions) -> list[str]:
    """All captions that are not null, in the order of files and rows."""
    return [text for text in _column(captions, "TEXT") if text is not None]


def naming(texts: Sequence[str]) -> list[str]:
    """Those of the captions in which the published rule finds a class of ImageNet."""
    import pyarrow as pa

    from laionet_assets.matching import PaperMatcher
    from laionet_assets.taxonomy import load_synsets

    lemmas = sorted({lemma for synset in load_synsets("imagenet-1k") for lemma in synset.lemmas})
    found = PaperMatcher(lemmas).find(pa.array(texts, pa.string()))
    return [texts[row] for row in sorted({int(row) for row in found.rows})]


def write_part(captions: Captions, path: Path, rows: int, *, naming_only: bool = False) -> None:
    """Write a part of `rows` rows, as HOW says; the first rows of a larger part are those of a smaller one.

    `naming_only`: of the captions that name a class.
    """
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    source = naming(texts(captions)) if naming_only else texts(captions)
    tags = ["UNLIKELY", "UNLIKELY", "UNLIKELY", "UNLIKELY", "UNLIKELY", "UNLIKELY", "UNSURE", "NSFW", None]
    writer = None
    for table in _blocks(source, tags, rows):
        writer = writer or pq.ParquetWriter(
            path, table.schema, compression="snappy", use_dictionary=["NSFW", "LICENSE"]
        )
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    if writer is not None:
        writer.close()


def resampled(captions: Captions, rows: int) -> list[str]:
    """The captions of `write_part` alone."""
    (table, *_) = _blocks(texts(captions), [None], rows)
    return table["TEXT"].to_pylist()


def _column(captions: Captions, name: str) -> list[str | None]:
    import pyarrow.parquet as pq

    return [value for file in captions.files for value in pq.read_table(file, columns=[name])[name].to_pylist()]


def _blocks(source: Sequence[str], tags: Sequence[str | None], rows: int) -> Iterator["pa.Table"]:
    """Tables of some row groups each, of `rows` rows together."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    captions, nsfw = pa.array(source, pa.string()), pa.array(tags, pa.string())
    order = np.random.default_rng(SEED)
    made_up = np.random.default_rng(SEED + 1)
    hand = np.empty(0, dtype=np.int64)
    for start in range(0, rows, 4 * ROW_GROUP_ROWS):
        count = min(4 * ROW_GROUP_ROWS, rows - start)
        while len(hand) < count:
            hand = np.concatenate([hand, order.permutation(len(source))])
        dealt, hand = hand[:count], hand[count:]
        number = pa.array(np.arange(start, start + count)).cast(pa.string())
        key = pa.array(made_up.integers(0, 2**62, count))
        yield pa.table(
            {
                "SAMPLE_ID": key,
                "URL": pc.binary_join_element_wise(
                    "https://images.invalid/", key.cast(pa.string()), "/", number, ".jpg", ""
                ),
                "TEXT": pc.binary_join_element_wise(captions.take(pa.array(dealt)), number, " "),
                "HEIGHT": pa.array(made_up.integers(100, 2000, count, dtype=np.int32)),
                "WIDTH": pa.array(made_up.integers(100, 2000, count, dtype=np.int32)),
                "LICENSE": pa.repeat("?", count),
                "NSFW": nsfw.take(pa.array(made_up.integers(0, len(tags), count))),
                "similarity": pa.array(made_up.uniform(0.3, 0.5, count)),
            }
        )
