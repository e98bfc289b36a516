"""Stage matching: core.caption_matches (staging.lemmas and core.candidates are SQL)."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeVar

import duckdb

from laionet_assets.assets.steps import Step, Work
from laionet_assets.matching import Alphabet, FoldWords, Matcher, regrouped
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.binding import create_macros
from laionet_assets.sqlmodels.loader import Macro, Project
from laionet_assets.warehouse.sql import literal
from laionet_assets.warehouse.table import PartKey

if TYPE_CHECKING:
    import pyarrow as pa

Item = TypeVar("Item")
Result = TypeVar("Result")
Readings = tuple[tuple[int, tuple[str, ...]], ...]
"""Ids and words."""

MACROS = ("punctuation_to_spaces", "blank_entities", "blank_signs", "ignored", "fold", "fold_words")
BATCH_ROWS = 8_192

# Under paper a reading is a lemma that stands for a class; under corrected the words of any lemma, also where they
# stand for no class: they count where the longest is sought.
_READINGS = """
    create or replace temp table readings as
    select (row_number() over (order by matching, words) - 1)::integer as reading, matching, words
    from (
        select distinct matching, words
        from staging.lemmas
        where if(matching = 'paper', is_matchable, len(words) > 0)
    )
"""
_CAPTIONS = """
    select sample_id, caption, nullif(blank_entities(caption), caption) as blanked
    from raw.pairs
    where caption is not null
"""
_MATCHES = """
    select matching, {source} as source, {part} as part, sample_id, lemma, wnid, char_offset, char_length
    from occurrences
    join readings using (reading)
    join staging.lemmas using (matching, words)
    where is_matchable
"""


@dataclass(frozen=True)
class Search:
    """A matcher, and the ids (int32) of the lemmas and of the readings that it finds."""

    matcher: Matcher
    lemmas: "pa.Array"
    readings: "pa.Array"


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of core.caption_matches. Both profiles are always made."""
    model = project.models["core.caption_matches"]
    macros = [project.macros[name] for name in MACROS]
    return {model.name: Step(model=model, write=partial(_write, macros), macros=project.macros_version(MACROS))}


def _write(macros: Sequence[Macro], work: Work) -> None:
    work.write_rows(matches_select(work.connection, work.part_key, macros))


def matches_select(connection: duckdb.DuckDBPyConnection, part: PartKey, macros: Sequence[Macro]) -> str:
    """Find lemmas in captions: a SELECT of the rows of core.caption_matches.

    The connection has staging.lemmas, and the rows of `part` in raw.pairs; it gets the macros MACROS, and the tables
    `readings` and `occurrences`, which the SELECT reads. Captions are streamed through as many threads as DuckDB may
    use.
    """
    create_macros(connection, macros)
    connection.execute(_READINGS)
    search = _search(_of_profile(connection, "paper"), _of_profile(connection, "corrected"), tuple(macros))
    ((threads,),) = connection.execute("select current_setting('threads')").fetchall()
    batches = regrouped(connection.sql(_CAPTIONS).to_arrow_reader(BATCH_ROWS), "caption")
    with ThreadPoolExecutor(threads) as pool:
        found = list(_mapped(pool, partial(_occurrences, search), batches, ahead=2 * threads))
    connection.register("occurrences", _table(batch for batches in found for batch in batches))
    return _MATCHES.format(source=literal(part.source), part=literal(part.part))


def _of_profile(connection: duckdb.DuckDBPyConnection, matching: str) -> Readings:
    select = "select reading, words from readings where matching = ? order by reading"
    return tuple((reading, tuple(words)) for reading, words in connection.execute(select, [matching]).fetchall())


@lru_cache(maxsize=1)
def _search(lemmas: Readings, readings: Readings, macros: tuple[Macro, ...]) -> Search:
    """Made once a process for all parts that ask for the same: it costs as much as the captions of a small part."""
    import pyarrow as pa

    characters = {character for _, words in readings for word in words for character in word}
    alphabet = Alphabet(characters, _fold_words(macros))
    return Search(
        matcher=Matcher([" ".join(words) for _, words in lemmas], [words for _, words in readings], alphabet),
        lemmas=pa.array([reading for reading, _ in lemmas], pa.int32()),
        readings=pa.array([reading for reading, _ in readings], pa.int32()),
    )


def _fold_words(macros: Sequence[Macro]) -> FoldWords:
    """The macro, on a connection of its own: the one that has the captions is busy with them, and is gone sooner."""
    asking = duckdb.connect(":memory:", config={"threads": 1})
    create_macros(asking, macros)

    def fold_words(texts: Sequence[str]) -> list[list[str]]:
        select = "select [fold_words(text) for text in $1::varchar[]]"
        ((words,),) = asking.execute(select, [list(texts)]).fetchall()
        return words

    return fold_words


def _occurrences(search: Search, captions: "pa.RecordBatch") -> list["pa.RecordBatch"]:
    """Occurrences in a batch of _CAPTIONS, by the ids of readings and samples."""
    import pyarrow as pa

    found = []
    paper, corrected = search.matcher.find(captions.column("caption"), captions.column("blanked"))
    for ids, occurrences in ((search.lemmas, paper), (search.readings, corrected)):
        columns = {
            "reading": ids.take(pa.array(occurrences.readings)),
            "sample_id": captions.column("sample_id").take(pa.array(occurrences.rows)),
            "char_offset": pa.array(occurrences.offsets, pa.int32()),
            "char_length": pa.array(occurrences.lengths, pa.int32()),
        }
        found.append(pa.record_batch(columns))
    return found


def _table(batches: Iterable["pa.RecordBatch"]) -> "pa.Table":
    import pyarrow as pa

    columns = {"reading": pa.int32(), "sample_id": pa.int64(), "char_offset": pa.int32(), "char_length": pa.int32()}
    return pa.Table.from_batches(batches, pa.schema(columns.items()))


def _mapped(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[Result]:
    """Results in the order of the items, of which no more than `ahead` are held."""
    pending: deque[Future[Result]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) == ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
