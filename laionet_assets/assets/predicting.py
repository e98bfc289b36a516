"""Predictions by content: what is predicted already is kept, the rest is predicted, chunk after chunk.

Belongs here: which contents lack which models, the stream over them, and its chunks. Does not belong here: where
pictures come from, and the tables that the predictions go to (`predictions`).

A prediction is known by content (sha256), model identity, and the profile of admission that sees the picture so. It
is taken from the published table or from chunks of a run that did not end; both have these columns: sha256, profile,
model_identity, rank, wnid, score, error.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from laionet_assets.assets.progress import progress_log
from laionet_assets.assets.steps import Work
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.pictures.reading import Content
from laionet_assets.predictors import ImageNetClasses, Outcome, load_predictor, predict_stream
from laionet_assets.taxonomy import load_synsets
from laionet_assets.warehouse.checkpoint import Chunks
from laionet_assets.warehouse.sql import literal

WANTED = "wanted"
"""Temporary table that the caller makes: (sha256, seen), the pictures and the profiles to predict them under."""
PREDICTED = "predicted"
"""Temporary view made here: what is known of each content and model."""
Reader = Callable[[Collection[str]], Iterator[tuple[str, Content]]]
"""From hashes to the contents, each once, in the order that is best to read them in."""

RANKS = 5
CHUNK_PICTURES = 512
"""Pictures a chunk: a killed run loses at most so many. A multiple of every batch size, so that a run that was taken
up again makes the same batches."""
_COLUMNS = "sha256, profile, model_identity, rank, wnid, score, error"


@dataclass(frozen=True)
class Model:
    """A predictor of the settings; `identity` is what its predictions depend on."""

    spec: ModelSpec
    prompts: ClassPrompts | None
    identity: str


def predict_missing(work: Work, models: Sequence[Model], contents: Reader, *, not_predicted: str | None = None) -> None:
    """Predict what of WANTED is not known, and make PREDICTED: known predictions, and `models` (model,
    model_identity).

    Contents that `contents` does not give stay without rows. Published rows with the error `not_predicted` are not
    taken for known. Models are loaded only if they are needed. Raises ModelError for a model that cannot be had.
    """
    chunks = Chunks(work.checkpoint, rows_version="-".join(sorted({*work.labels.values()})))
    work.connection.execute("create or replace temp table models (model varchar, model_identity varchar)")
    if models:
        work.connection.executemany("insert into models values (?, ?)", [[m.spec.name, m.identity] for m in models])
    _make_predicted(work, chunks, not_predicted)
    groups = _missing(work)
    _log_plan(work, groups, models)
    for identities, sha256s in groups:
        chosen = list({model.identity: model for model in models if model.identity in identities}.values())
        _predict(work, chosen, sha256s, contents, chunks)
    _make_predicted(work, chunks, not_predicted)


def _make_predicted(work: Work, chunks: Chunks, not_predicted: str | None) -> None:
    """The view over chunks and published rows; a chunk has all of a content and model, so that it goes first."""
    table, part = work.model.table, work.part
    is_published = work.warehouse.lake.exists(table, part)
    published = work.warehouse.select(table.name, part) if is_published else table.no_rows
    is_known = f"error is distinct from {literal(not_predicted)}" if not_predicted else "true"
    work.connection.execute(f"""
        create or replace temp view {PREDICTED} as
        with finished as (
            select {_COLUMNS} from ({chunks.select() or table.no_rows})
        ),
        published as (
            select distinct {_COLUMNS} from ({published})
            where sha256 is not null and {is_known}
        )
        select * from finished
        union all
        select * from published anti join finished using (sha256, model_identity)
    """)


def _missing(work: Work) -> list[tuple[tuple[str, ...], list[str]]]:
    """Contents by the models that they lack: (model identities, contents), in a stable order."""
    rows = work.connection.execute(f"""
        with known as (
            select sha256, model_identity, unnest(if(profile = 'both', ['paper', 'corrected'], [profile])) as seen
            from {PREDICTED}
        ),
        missing as (
            select distinct sha256, model_identity
            from (select distinct sha256, seen from {WANTED})
            cross join (select distinct model_identity from models)
            anti join known using (sha256, model_identity, seen)
        ),
        by_content as (
            select sha256, list(model_identity order by model_identity) as identities from missing group by sha256
        )
        select identities, list(sha256 order by sha256) from by_content group by identities order by identities
    """).fetchall()
    return [(tuple(identities), sha256s) for identities, sha256s in rows]


def _log_plan(work: Work, groups: Sequence[tuple[tuple[str, ...], Sequence[str]]], models: Sequence[Model]) -> None:
    (total,) = work.connection.execute(f"select count(distinct sha256) from {WANTED}").fetchone() or (0,)
    missing = sum(len(sha256s) for _, sha256s in groups)
    work.log(
        f"{total:,} pictures, {len(models)} models: {total - missing:,} are predicted already, {missing:,} are not"
    )
    for identities, sha256s in groups:
        names = ", ".join(model.spec.name for model in models if model.identity in identities)
        work.log(f"to be predicted by {names}: {len(sha256s):,} pictures")


def _predict(work: Work, models: Sequence[Model], sha256s: Sequence[str], contents: Reader, chunks: Chunks) -> None:
    """Predict pictures with models, and keep the outcomes chunk after chunk."""
    from laionet_assets.pictures.stream import available_cores

    cache = work.warehouse.scratch / "class_embeddings"
    classes = ImageNetClasses.of_rows((synset.wnid, synset.lemmas) for synset in load_synsets("imagenet-1k"))
    predictors = [load_predictor(model.spec, classes=classes, prompts=model.prompts, cache=cache) for model in models]
    identities = {predictor.name: model.identity for predictor, model in zip(predictors, models, strict=True)}
    progress = progress_log(work.log, f"pictures predicted by {', '.join(identities)}")
    outcomes: list[Outcome] = []
    done = 0
    for outcome in predict_stream(contents(sha256s), predictors, k=RANKS, workers=available_cores()):
        is_next = not outcomes or outcome.image_id != outcomes[-1].image_id
        if is_next and outcomes:
            done += 1
            progress(done, len(sha256s))
            if done % CHUNK_PICTURES == 0:
                chunks.add(work.typed(_columns(outcomes, identities)))
                outcomes = []
        outcomes.append(outcome)
    if outcomes:
        progress(done + 1, len(sha256s))
        chunks.add(work.typed(_columns(outcomes, identities)))


def _columns(outcomes: Sequence[Outcome], identities: dict[str, str]) -> dict[str, Sequence[Any]]:
    """Columns of a chunk: a row a rank, or one with the error."""
    rows = [
        (outcome.image_id, outcome.profile, identities[outcome.model], rank, wnid, score, outcome.error)
        for outcome in outcomes
        for rank, (wnid, score) in enumerate(outcome.ranked or [(None, None)], 1)
    ]
    return dict(zip(_COLUMNS.split(", "), zip(*rows, strict=True), strict=True))
