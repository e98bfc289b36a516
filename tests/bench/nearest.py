"""Stage nearest: the nearest captions by the inverted file beside the flat search, on distinct real texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.captions import Captions, texts
from tests.bench.measure import Cost, apart, cheapest, cost_of
from tests.bench.options import Options
from tests.bench.report import Section, Table, Target, number, percent, times

if TYPE_CHECKING:
    import numpy as np

TEXTS, QUERIES = 50_000, 5_000
WANTED_RATIO = 4.0
AIMED = 0.985
"""Recall aimed at on a tenth of the queries, so that all of them reach the 0.98 that is wanted."""

PARTS = 5
SEED = 2306


@dataclass(frozen=True)
class Searches:
    """What building and both ways of searching took, by name; and what the inverted file was set to and found."""

    costs: dict[str, Cost]
    cells: int
    probes: int
    candidates: int
    recall: float
    recall_in_pieces: float
    texts: int
    queries: int
    dimension: int


def nearest(options: Options) -> Section:
    """Queries a second at the recall that is wanted, training and building, a further part."""
    count, queries = (3_000, 300) if options.quick else (TEXTS, QUERIES)
    folder = options.folder / "nearest"
    apart(embed, folder, options.captions, count + queries)
    found: Searches = apart(search, folder, queries, 1 if options.quick else 3, threads=1).value
    flat, inverted = found.costs["flat"], found.costs["inverted"]
    ratio = flat.cpu_seconds / inverted.cpu_seconds

    def line(what: str, name: str, items: int) -> tuple[str, ...]:
        cpu = found.costs[name].cpu_seconds
        return (what, f"{items:,}", number(cpu), number(items / cpu))

    return Section(
        title="Nearest captions",
        body=[
            f"{found.texts:,} distinct texts ({options.captions.description}, the names of timm's 21,844 synsets, and"
            f" *name which is definition* of each) as MiniLM embeddings of {found.dimension} dimensions in half precision, and"
            f" {found.queries:,} other such texts as queries; the nearest one of each, in one thread. Flat: FAISS's exact search"
            f" over all of them. Ours: an inverted file of {found.cells} cells, looking into the {found.probes} nearest cells and"
            f" comparing the {found.candidates} likeliest vectors, the least that finds {percent(AIMED)} of the truly nearest of every"
            f" tenth query; as one piece, and as {PARTS} pieces of as many parts, searched one after the other and merged, with the"
            " same effort in each (a part of LAION is 1,300 times as large). Embedding is not counted.",
            Table(
                ("work", "vectors or queries", "cpu-s", "a cpu-s"),
                [
                    line("train the cells", "train", found.texts),
                    line(f"build {PARTS} pieces", "build", found.texts),
                    line("of which the last part, added alone", "part", found.texts // PARTS),
                    line("search, flat", "flat", found.queries),
                    line("search, inverted file, one piece", "inverted", found.queries),
                    line(f"search, inverted file, {PARTS} pieces", "pieces", found.queries),
                ],
            ),
            f"Recall@1 over all queries {percent(found.recall)} ({percent(found.recall_in_pieces)} in {PARTS} pieces);"
            f" {times(ratio)} the flat search.",
        ],
        targets=[]
        if options.quick
        else [
            Target(
                "nearest captions at recall@1 >= 0.98, against the flat search",
                f">= {WANTED_RATIO:.0f} x",
                f"{times(ratio)} at {found.recall:.4f}",
                ratio >= WANTED_RATIO and found.recall >= 0.98,
            )
        ],
    )


def distinct_texts(captions: Captions) -> list[str]:
    """Captions, queries and lemmas of timm's synsets, each once, shuffled."""
    import random

    from laionet_assets.taxonomy.synsets import load_synsets

    synsets = load_synsets("imagenet-21k")
    found = [
        *texts(captions),
        *(f"{synset.name} which is {synset.definition}" for synset in synsets),
        *(lemma for synset in synsets for lemma in synset.lemmas),
    ]
    distinct = list(dict.fromkeys(found))
    random.Random(SEED).shuffle(distinct)
    return distinct


def embed(folder: Path, captions: Captions, count: int) -> None:
    """Write the embeddings of `count` texts in half precision."""
    import numpy as np

    from laionet_assets.models.spec import TEXT_ENCODER, parse_model
    from laionet_assets.models.text_encoder import load_text_encoder

    encoder = load_text_encoder(parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm"))
    folder.mkdir(parents=True)
    np.save(folder / "vectors.npy", encoder.encode(distinct_texts(captions)[:count]).astype(np.float16))


def search(folder: Path, queries: int, repeats: int) -> Searches:
    """Build and search, both ways, the embeddings that `embed` wrote; the last `queries` of them ask."""
    import faiss
    import numpy as np

    from laionet_assets.neighbours.index import build_pieces, cells_for, train
    from laionet_assets.neighbours.search import choose_effort, nearest_exactly, recall
    from laionet_assets.neighbours.search import nearest as nearest_in

    faiss.omp_set_num_threads(1)
    everything = np.load(folder / "vectors.npy")
    vectors, asking = everything[:-queries], everything[-queries:]
    cells = cells_for(len(vectors))
    trained = train(vectors, cells)
    parts = _parts(vectors)
    costs = {"train": cost_of(lambda: train(vectors, cells))}
    whole = list(build_pieces(trained, parts))
    pieces = [piece for part in parts for piece in build_pieces(trained, [part])]
    costs["build"] = cost_of(lambda: [list(build_pieces(trained, [part])) for part in parts])
    costs["part"] = cost_of(lambda: list(build_pieces(trained, [parts[-1]])))
    exact = nearest_exactly(parts, asking)
    few = asking[::10]
    effort, _ = choose_effort(lambda: whole, few, nearest_exactly(parts, few), cells=cells, target=AIMED)
    single = vectors.astype(np.float32)
    flat = faiss.IndexFlatIP(single.shape[1])
    flat.add(single)
    wanted = asking.astype(np.float32)
    costs["flat"] = cheapest([cost_of(lambda: flat.search(wanted, 1)) for _ in range(repeats)])
    for name, index in (("inverted", whole), ("pieces", pieces)):
        costs[name] = cheapest([cost_of(lambda i=index: nearest_in(i, asking, effort)) for _ in range(repeats)])
    found, in_pieces = (recall(nearest_in(index, asking, effort), exact) for index in (whole, pieces))
    return Searches(
        costs, cells, effort.probes, effort.candidates, found, in_pieces, len(vectors), queries, vectors.shape[1]
    )


def _parts(vectors: "np.ndarray") -> "Sequence[tuple[np.ndarray, np.ndarray]]":
    import numpy as np

    return [(ids, vectors[ids]) for ids in np.array_split(np.arange(len(vectors)), PARTS)]
