"""Results by content: what a model made of a picture already is kept, the rest is made, chunk after chunk.

Belongs here: which contents lack which models, the pass over them, its chunks, and the two kinds of table that keep
results (by part, and of local sets). Does not belong here: where pictures lie (`contents`), what a model makes of them
(`predictions`, `embeddings`).

A result is known by content (sha256), model identity, and the profile that sees the picture so. It is
taken from the published table or from chunks of a run that did not end.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from laionet_assets.assets.contents import PICTURES, WANTED, Reader, want_part, want_sets
from laionet_assets.assets.progress import progress_log
from laionet_assets.assets.steps import Work
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.pictures.reading import Content
from laionet_assets.settings import Settings
from laionet_assets.warehouse.checkpoint import Chunks
from laionet_assets.warehouse.sql import identifier, literal

KNOWN = "known"
"""Temporary view made here: what is known of each content and model."""
SEEN_BY = "seen_by"
"""Temporary view made here: KNOWN, a row for each profile; what it stands for there is `look`."""
NOT_STORED = "the picture is not in the image store, or damaged there"

CHUNK_PICTURES = 512
"""Pictures a chunk: a killed run loses at most so many. A multiple of every batch size, so that a run that was taken
up again makes the same batches."""


@dataclass(frozen=True)
class Model:
    """A model of the settings; `identity` is what its results depend on."""

    spec: ModelSpec
    identity: str
    prompts: ClassPrompts | None = None


Rows = Iterator[tuple[Any, ...]]
"""sha256, profile, name of the model, the columns of `Results`, error. All rows of a content are together."""


@dataclass(frozen=True)
class Results:
    """What a table keeps of a content and a model: a row each, or several.

    `label` is its column with the model's name, `done` what was done to a picture, for messages. `columns` are SQL
    expressions of its own columns, which are null where there is no result. `compute` makes the rows of contents.
    `pictures` is the SELECT of the rows of core.images, of a part, that it is kept of.
    """

    label: str
    done: str
    columns: Mapping[str, str]
    compute: Callable[[Work, Sequence[Model], Iterable[tuple[str, Content]]], Rows]
    pictures: str = "from core.images where status = 'success'"

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of what is known."""
        return ("sha256", "profile", "model_identity", *self.columns, "error")

    @property
    def values(self) -> str:
        """Columns of the table, as a SELECT has them."""
        return ", ".join(f"{expression} as {identifier(name)}" for name, expression in self.columns.items())


def write_of_part(settings: Settings, results: Results, models: Sequence[Model], work: Work) -> None:
    """A row, or several, for every content of the part's images and every model."""
    reader = want_part(settings, work, results.pictures)
    _make_missing(work, results, models, reader, not_made=NOT_STORED)
    work.write_rows(
        f"""
        select
            source,
            part,
            sha256,
            coalesce(profile, 'both') as profile,
            model as {results.label},
            {results.values},
            if(is_known is null, {literal(NOT_STORED)}, error) as error,
            model_identity,
        from {PICTURES}
        cross join models
        left join (select *, true as is_known from {KNOWN}) using (sha256, model_identity)
        """,
    )


def write_of_sets(settings: Settings, results: Results, models: Sequence[Model], work: Work) -> None:
    """A row, or several, for every picture of the local sets, as the set's profile sees it, and every model."""
    reader = want_sets(settings, work)
    _make_missing(work, results, models, reader)
    work.write_rows(
        f"""
        select
            image_set,
            image_id,
            model as {results.label},
            {results.values},
            if(is_known is null, not_read, error) as error,
            sha256,
            coalesce(look, 'both') as profile,
            model_identity,
        from {PICTURES}
        cross join models
        left join (select *, true as is_known from {SEEN_BY}) using (sha256, model_identity, profile)
        """,
    )


def _make_missing(
    work: Work, results: Results, models: Sequence[Model], reader: Reader, *, not_made: str | None = None
) -> None:
    """Make what of WANTED is not known, then KNOWN, and `models` (model, model_identity).

    Contents that `reader` does not give stay without rows. Published rows with the error `not_made` are not taken for
    known. Models are loaded only if they are needed. Raises ModelError for a model that cannot be had.
    """
    chunks = Chunks(work.checkpoint, rows_version="-".join(sorted({*work.labels.values()})))
    work.connection.execute("create or replace temp table models (model varchar, model_identity varchar)")
    if models:
        work.connection.executemany("insert into models values (?, ?)", [[m.spec.name, m.identity] for m in models])
    _make_known(work, results, chunks, not_made)
    groups = _missing(work)
    _log_plan(work, results, groups, models)
    for identities, sha256s in groups:
        chosen = list({model.identity: model for model in models if model.identity in identities}.values())
        _make(work, results, chosen, sha256s, reader, chunks)
    _make_known(work, results, chunks, not_made)


def _make_known(work: Work, results: Results, chunks: Chunks, not_made: str | None) -> None:
    """The view over chunks and published rows; a chunk has all of a content and model, so that it goes first."""
    columns = ", ".join(results.names)
    is_known = f"error is distinct from {literal(not_made)}" if not_made else "true"
    work.connection.execute(f"""
        create or replace temp view {KNOWN} as
        with finished as (
            select {columns} from ({chunks.select() or work.model.table.no_rows})
        ),
        published as (
            select distinct {columns} from ({work.published_select})
            where sha256 is not null and {is_known}
        )
        select * from finished
        union all
        select * from published anti join finished using (sha256, model_identity)
    """)
    work.connection.execute(f"""
        create or replace temp view {SEEN_BY} as
        select
            * exclude (profile),
            profile as look,
            unnest(if(profile = 'both', ['paper', 'corrected'], [profile])) as profile,
        from {KNOWN}
    """)


def _missing(work: Work) -> list[tuple[tuple[str, ...], list[str]]]:
    """Contents by the models that they lack: (model identities, contents), in a stable order."""
    rows = work.connection.execute(f"""
        with missing as (
            select distinct sha256, model_identity
            from (select distinct sha256, profile from {WANTED})
            cross join (select distinct model_identity from models)
            anti join {SEEN_BY} using (sha256, model_identity, profile)
        ),
        by_content as (
            select sha256, list(model_identity order by model_identity) as identities from missing group by sha256
        )
        select identities, list(sha256 order by sha256) from by_content group by identities order by identities
    """).fetchall()
    return [(tuple(identities), sha256s) for identities, sha256s in rows]


def _log_plan(
    work: Work, results: Results, groups: Sequence[tuple[tuple[str, ...], Sequence[str]]], models: Sequence[Model]
) -> None:
    (total,) = work.connection.execute(f"select count(distinct sha256) from {WANTED}").fetchone() or (0,)
    missing = sum(len(sha256s) for _, sha256s in groups)
    work.log(
        f"{total:,} pictures, {len(models)} models: {total - missing:,} are {results.done} already, {missing:,} are not"
    )
    for identities, sha256s in groups:
        names = ", ".join(model.spec.name for model in models if model.identity in identities)
        work.log(f"to be {results.done} by {names}: {len(sha256s):,} pictures")


def _make(
    work: Work,
    results: Results,
    models: Sequence[Model],
    sha256s: Collection[str],
    reader: Reader,
    chunks: Chunks,
) -> None:
    """What models make of pictures, kept chunk after chunk."""
    identities = {model.spec.name: model.identity for model in models}
    progress = progress_log(work.log, f"pictures {results.done} by {', '.join(identities)}")
    rows: list[tuple[Any, ...]] = []
    done = 0
    for sha256, profile, name, *values in results.compute(work, models, reader(sha256s)):
        if rows and sha256 != rows[-1][0]:
            done += 1
            progress(done, len(sha256s))
            if done % CHUNK_PICTURES == 0:
                chunks.add(work.typed(dict(zip(results.names, zip(*rows, strict=True), strict=True))))
                rows = []
        rows.append((sha256, profile, identities[name], *values))
    if rows:
        progress(done + 1, len(sha256s))
        chunks.add(work.typed(dict(zip(results.names, zip(*rows, strict=True), strict=True))))
