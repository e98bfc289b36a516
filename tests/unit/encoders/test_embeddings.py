"""Planning of stored embeddings, with an encoder that derives a vector from a text's digest."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.encoders import embeddings
from laionet_assets.encoders.embeddings import embed_missing
from laionet_assets.models.identity import identity
from laionet_assets.models.spec import TEXT_ENCODER, ModelSpec
from laionet_assets.models.text_encoder import Progress
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import write_table

CAPTIONS = load_project().tables["core.caption_embeddings"]
SPEC = ModelSpec(TEXT_ENCODER, "toy", "transformers", "org/toy", "r1")


class DigestEncoder:
    """A unit vector for each text, and a record of what it was asked for."""

    def __init__(self, spec: ModelSpec, dimension: int = 8, fail_after: int | None = None) -> None:
        self.name, self.identity, self.dimension = spec.name, identity(spec), dimension
        self.calls: list[list[str]] = []
        self._fail_after = fail_after

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        if self._fail_after == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append(list(texts))
        if progress is not None:
            progress(len(texts), len(texts))
        return np.stack([self.vector(text) for text in texts])

    def encode_chunks(
        self, chunks: Iterable[Sequence[str]], *, progress: Progress | None = None
    ) -> Iterator[np.ndarray]:
        for texts in chunks:
            yield self.encode(texts, progress=progress)

    def told(self) -> str:
        return "a digest"

    def vector(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256((self.identity + text).encode()).digest()[:8], "little")
        vector = np.random.default_rng(seed).normal(size=self.dimension)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def loading(encoder: DigestEncoder) -> Callable[[ModelSpec], DigestEncoder]:
    return lambda spec: encoder


def never(spec: ModelSpec) -> DigestEncoder:
    raise AssertionError("the model was loaded although nothing was missing")


def captions(*numbers: int) -> tuple[pa.Table, list[str]]:
    ids = pa.table(
        {
            "source": pa.array(["web"] * len(numbers), pa.string()),
            "part": pa.array(["part-0"] * len(numbers), pa.string()),
            "caption_id": pa.array([2**63 + n for n in numbers], pa.uint64()),
        }
    )
    return ids, [f"caption {n}" for n in numbers]


def test_rows_come_sorted_by_id_with_their_own_vectors_in_half_precision() -> None:
    ids, texts = captions(5, 3, 9, 1)
    encoder = DigestEncoder(SPEC)
    table = embed_missing(SPEC, ids, texts, load=loading(encoder))
    assert table.column_names == ["encoder", "model", "source", "part", "caption_id", "embedding"]
    assert table.schema.field("embedding").type == pa.list_(pa.float16())
    assert table["caption_id"].to_pylist() == [2**63 + n for n in (1, 3, 5, 9)]
    assert set(table["encoder"].to_pylist()) == {"toy"}
    assert set(table["model"].to_pylist()) == {"transformers:org/toy@r1"}
    expected = np.stack([encoder.vector(f"caption {n}") for n in (1, 3, 5, 9)]).astype(np.float16)
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), dtype=np.float16), expected)


def test_the_order_of_the_rows_given_does_not_matter() -> None:
    forth = embed_missing(SPEC, *captions(1, 2, 3), load=loading(DigestEncoder(SPEC)))
    back = embed_missing(SPEC, *captions(3, 1, 2), load=loading(DigestEncoder(SPEC)))
    assert forth.equals(back)


def test_what_exists_is_copied_and_only_the_rest_is_embedded() -> None:
    first = embed_missing(SPEC, *captions(1, 3), load=loading(DigestEncoder(SPEC)))
    encoder = DigestEncoder(SPEC)
    second = embed_missing(SPEC, *captions(4, 3, 2, 1), existing=first, load=loading(encoder))
    assert encoder.calls == [["caption 2", "caption 4"]]
    assert second.equals(embed_missing(SPEC, *captions(1, 2, 3, 4), load=loading(DigestEncoder(SPEC))))


def test_rows_that_are_asked_for_no_more_are_left_out_and_no_model_is_loaded() -> None:
    first = embed_missing(SPEC, *captions(1, 2, 3), load=loading(DigestEncoder(SPEC)))
    second = embed_missing(SPEC, *captions(2), existing=first, load=never)
    assert second.equals(first.slice(1, 1).combine_chunks())


def test_a_renamed_encoder_keeps_its_vectors_and_another_model_does_not() -> None:
    first = embed_missing(SPEC, *captions(1, 2), load=loading(DigestEncoder(SPEC)))
    renamed = ModelSpec(SPEC.role, "new name", SPEC.provider, SPEC.model, SPEC.revision)
    table = embed_missing(renamed, *captions(1, 2), existing=first, load=never)
    assert set(table["encoder"].to_pylist()) == {"new name"}
    assert table["embedding"].equals(first["embedding"])
    other = ModelSpec(TEXT_ENCODER, "toy", SPEC.provider, SPEC.model, "r2")
    encoder = DigestEncoder(other, dimension=4)
    table = embed_missing(other, *captions(1, 2), existing=first, load=loading(encoder))
    assert encoder.calls == [["caption 1", "caption 2"]]
    assert {len(vector) for vector in table["embedding"].to_pylist()} == {4}


def test_a_query_of_other_words_is_embedded_again() -> None:
    def queries(text: str) -> tuple[pa.Table, list[str]]:
        return pa.table({"wnid": ["n1", "n2"], "template": ["name"] * 2, "query": ["dog", text]}), ["dog", text]

    first = embed_missing(SPEC, *queries("cat"), load=loading(DigestEncoder(SPEC)))
    encoder = DigestEncoder(SPEC)
    embed_missing(SPEC, *queries("house cat"), existing=first, load=loading(encoder))
    assert encoder.calls == [["house cat"]]


def test_no_texts_give_an_empty_table_of_the_same_schema() -> None:
    empty = embed_missing(SPEC, *captions(), load=never)
    full = embed_missing(SPEC, *captions(1), load=loading(DigestEncoder(SPEC)))
    assert empty.num_rows == 0
    assert empty.schema == full.schema
    assert embed_missing(SPEC, *captions(1), existing=empty, load=loading(DigestEncoder(SPEC))).equals(full)


def test_rows_survive_parquet_and_duckdb_and_are_found_again(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    first = embed_missing(SPEC, *captions(2, 1), load=loading(DigestEncoder(SPEC)))
    write_table(file, CAPTIONS, first, stamps={})
    by_duckdb = duckdb.sql(f"select * from read_parquet('{file}')").to_arrow_table()
    assert duckdb.sql(f"describe from read_parquet('{file}')").fetchall()[-1][1] == "FLOAT[]"
    for stored in (pq.read_table(file), by_duckdb):
        assert embed_missing(SPEC, *captions(1, 2), existing=stored, load=never).equals(first)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    for file in files:
        rows = embed_missing(SPEC, *captions(*range(50)), load=loading(DigestEncoder(SPEC)))
        write_table(file, CAPTIONS, rows, stamps={})
    assert files[0].read_bytes() == files[1].read_bytes()


def test_faulty_ids_are_refused() -> None:
    ids, texts = captions(1, 2)
    with pytest.raises(ValueError, match="2 ids for 1 texts"):
        embed_missing(SPEC, ids, texts[:1], load=never)
    with pytest.raises(ValueError, match="1 distinct, expected every id once"):
        embed_missing(SPEC, *captions(1, 1), load=never)
    with pytest.raises(ValueError, match="nulls in wnid"):
        embed_missing(SPEC, pa.table({"wnid": ["n1", None]}), texts, load=never)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "CHUNK_TEXTS", 4)


@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_run_resumes_at_its_chunk_and_ends_the_same(tmp_path: Path) -> None:
    checkpoint = tmp_path / "chunks"
    undisturbed = embed_missing(SPEC, *captions(*range(10)), load=loading(DigestEncoder(SPEC)))
    with pytest.raises(KeyboardInterrupt):
        dying = DigestEncoder(SPEC, fail_after=2)
        embed_missing(SPEC, *captions(*range(10)), checkpoint=checkpoint, load=loading(dying))
    assert len(list(checkpoint.iterdir())) == 2
    encoder = DigestEncoder(SPEC)
    resumed = embed_missing(SPEC, *captions(*range(10)), checkpoint=checkpoint, load=loading(encoder))
    assert encoder.calls == [["caption 8", "caption 9"]]
    assert resumed.equals(undisturbed)


@pytest.mark.usefixtures("small_chunks")
def test_chunks_of_another_model_or_other_texts_are_not_taken(tmp_path: Path) -> None:
    embed_missing(SPEC, *captions(*range(4)), checkpoint=tmp_path, load=loading(DigestEncoder(SPEC)))
    for spec, numbers in (
        (ModelSpec(TEXT_ENCODER, "toy", "transformers", "org/toy", "r2"), range(4)),
        (SPEC, range(1, 5)),
    ):
        encoder = DigestEncoder(spec)
        embed_missing(spec, *captions(*numbers), checkpoint=tmp_path, load=loading(encoder))
        assert len(encoder.calls) == 1


@pytest.mark.usefixtures("small_chunks")
def test_progress_counts_the_missing_texts() -> None:
    seen: list[tuple[int, int]] = []
    first = embed_missing(SPEC, *captions(0, 1), load=loading(DigestEncoder(SPEC)))
    embed_missing(
        SPEC,
        *captions(*range(8)),
        existing=first,
        progress=lambda done, total: seen.append((done, total)),
        load=loading(DigestEncoder(SPEC)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (6, 6)
    assert {total for _, total in seen} == {6}


def test_where_and_how_fast_is_told_if_something_was_embedded() -> None:
    told: list[str] = []
    first = embed_missing(SPEC, *captions(1, 2), log=told.append, load=loading(DigestEncoder(SPEC)))
    (line,) = told
    assert line.startswith("a digest, ") and line.endswith(" texts a second")
    embed_missing(SPEC, *captions(1, 2), existing=first, log=told.append, load=never)
    assert told == [line]
