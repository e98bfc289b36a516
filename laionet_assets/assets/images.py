"""Stage images: core.removals, core.images, marts.unmatched_removals and marts.removal_leftovers (core.image_requests
and marts.image_outcomes are SQL).

Belongs here: the four steps. Does not belong here: what the settings say about fetching (`fetching`), what becomes of
an address (`images.harvest`), tombstones (`images.removals`), the files of pictures (`images.store`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.assets.fetching import Fetching
from laionet_assets.assets.steps import Computation, Step, Work, same_for_a_source
from laionet_assets.images.again import forget_wishes, take_wishes, wished_hashes, wished_parts
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.harvest import Asked, Harvest, harvest
from laionet_assets.images.leftovers import Leftover, leftovers
from laionet_assets.images.outcomes import STORE_FULL, Result, content_digest, result_columns
from laionet_assets.images.removal_list import Removal, read_removals, unmatched
from laionet_assets.images.removals import Removals, remove, spread
from laionet_assets.images.shards import PartBusyError
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import read_tombstones, tombstones_digest, url_hash
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.sql import identifier, literals
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

if TYPE_CHECKING:
    from laionet_assets.pictures.inspection import Inspection

FETCH_POOL = "fetch"
CANDIDATES, REQUESTS, REMOVALS, IMAGES = "core.candidates", "core.image_requests", "core.removals", "core.images"
SEARCHED = "core.searched_captions"
REMOVED_SAMPLES, SELECTION_SEEN = "core.removed_samples", "core.selection_seen"
UNMATCHED, LEFTOVERS = "marts.unmatched_removals", "marts.removal_leftovers"
INSPECTION = "inspection"
"""The computation of core.images: what is found out of the bytes of a picture."""
_SAMPLE = "source, sample_id, url, sha256"
_CANDIDATE = "source, sample_id, url, null as sha256"


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the four tables. Raises SettingsError if the fetcher cannot stand the settings."""
    fetching = Fetching(settings)
    listed = Path(settings.resolve(settings.images.removals)) if settings.images.removals is not None else None
    place = settings.image_location if settings.images.location else "in the warehouse"

    def tombstones(warehouse: Warehouse) -> str:
        return tombstones_digest(open_store(settings, warehouse).lake)

    def rules_and_tombstones(warehouse: Warehouse, part: PartKey | None) -> str:
        source = part.source if part is not None else ""
        return digest(place, fetching.outside(source), tombstones(warehouse))

    def list_of_removals(warehouse: Warehouse, part: PartKey | None) -> str:
        lines = repr(read_removals(listed)) if listed is not None else ""
        return digest(place, lines)

    def has_other_tombstones(warehouse: Warehouse) -> bool:
        stamp = warehouse.stamps(REMOVALS).get(None)
        return stamp is not None and stamp.version != stamp.with_content(tombstones(warehouse)).version

    def due_failures(warehouse: Warehouse, parts: Sequence[PartKey | None]) -> set[PartKey | None]:
        wanted = [part for part in parts if part is not None and warehouse.has_part(IMAGES, part)]
        fetched = [part for part in wanted if fetching.applies_to(part.source)]
        others = (part for part in wanted if not fetching.applies_to(part.source))
        taken_over = [part for part in others if fetching.takes_over(part.source)]
        asked_again = wished_parts(open_store(settings, warehouse).lake).intersection(fetched)
        return _due(warehouse, fetched) | _due(warehouse, taken_over, error_class=STORE_FULL) | asked_again

    def lines_of_removals(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(repr((line.line, line)) for line in (read_removals(listed) if listed is not None else ())))

    models = project.models
    return {
        REMOVALS: Step(
            model=models[REMOVALS],
            write=partial(_write_removals, settings, listed),
            outside=list_of_removals,
            is_overtaken=has_other_tombstones,
            pool=FETCH_POOL,
        ),
        IMAGES: Step(
            model=models[IMAGES],
            write=partial(_write_images, settings, fetching),
            computations=(Computation(INSPECTION, _inspected),),
            outside=rules_and_tombstones,
            outside_by=same_for_a_source,
            due=due_failures,
            pool=FETCH_POOL,
            after_publish=partial(_forget_unfinished, settings),
        ),
        UNMATCHED: Step(model=models[UNMATCHED], write=partial(_write_unmatched, listed), outside=lines_of_removals),
        LEFTOVERS: Step(
            model=models[LEFTOVERS],
            write=partial(_write_leftovers, settings, project),
            outside=lambda warehouse, part: tombstones(warehouse),
        ),
    }


def open_store(settings: Settings, warehouse: Warehouse) -> ImageStore:
    """The image store of these settings."""
    images = settings.images
    options = images.storage_options or ({} if images.location else settings.storage_options)
    return ImageStore(
        settings.image_location,
        storage_options=options,
        quota_bytes=int(images.quota) if images.quota is not None else None,
        staging=warehouse.scratch / "images",
    )


def _write_removals(settings: Settings, listed: Path | None, work: Work) -> None:
    """Tombstones first, then the bytes: whoever is killed in between leaves what the next run needs to go on."""
    store = open_store(settings, work.warehouse)
    requested = read_removals(listed) if listed is not None else []
    if requested or read_tombstones(store.lake):
        every_form = [form for line in requested for form in line.forms]
        report = remove(store, spread(every_form, work.connection, _every_image(work.warehouse)), requested)
        work.log(
            f"{len(report.tombstones):,} tombstones, {report.images:,} pictures ({report.size_bytes:,} bytes) deleted"
        )
        if report.busy:
            raise PartBusyError(
                f"images of {', '.join(part.key for part in report.busy)} are being written by another process, so "
                "what was removed of them is not deleted yet. Nothing of it comes back. Run again when it is done."
            )
    tombstones = [asdict(tombstone) for tombstone in read_tombstones(store.lake)]
    work.write_rows(tombstones, content=tombstones_digest(store.lake))


def _write_unmatched(listed: Path | None, work: Work) -> None:
    """Lines of the list that name nothing; of those that name something, the addresses are read."""
    lines = read_removals(listed) if listed is not None else []
    rows = f"select distinct source, sample_id, url from {CANDIDATES}"
    reached = f"{rows} semi join {REMOVED_SAMPLES} using (source, sample_id)"
    found = unmatched(lines, work.connection.execute(reached).fetchall()) if lines else []
    work.write_rows(
        [{"line": each.line, "kind": each.kind, "value": each.value, "reason": each.reason} for each in found]
    )


def _every_image(warehouse: Warehouse) -> str:
    """Every sample with its address, and its content if it was fetched, of sources that were taken out of the settings
    too: what a removal spreads over.

    Read past the declared inputs: core.images reads core.removals, which comes first.
    """
    selects = [f"select {_SAMPLE} from ({warehouse.table(IMAGES).no_rows})"]
    for name, columns in ((IMAGES, _SAMPLE), (CANDIDATES, _CANDIDATE), (SEARCHED, _CANDIDATE)):
        table = warehouse.table(name)
        if files := [warehouse.lake.current(table, part) for part in warehouse.lake.parts(table)]:
            selects.append(f"select {columns} from read_parquet({literals(files)}, hive_partitioning = false)")
    return " union all ".join(f"({select})" for select in selects)


def _remove_addresses(store: ImageStore, work: Work, part: PartKey) -> None:
    """Tombstones for the addresses of samples of this part that are removed by their number: whoever else has the same
    address must not fetch it. The part may be newer than the list.
    """
    tombstones = Removals(tuple(read_tombstones(store.lake)))
    removed = tombstones.hashes("sample")
    tables = [name for name in (CANDIDATES, SEARCHED) if work.warehouse.has_part(name, part)]
    if not removed or not tables:
        return
    samples = " union all ".join(
        f"select source, sample_id, url from ({work.warehouse.select(name, part)})" for name in tables
    )
    rows = work.connection.execute(
        f"select distinct sample_id, url from ({samples}) "
        "where url is not null and source || '/' || sample_id in (select unnest($1::varchar[])) order by all",
        [sorted(removed)],
    ).fetchall()
    reached = {
        Removal("url_hash", url_hash(url), tombstones.reason(sample=(part.source, number)) or "")
        for number, url in rows
        if tombstones.reason(url=url) is None
    }
    if reached:
        remove(store, reached, requested=())


def _write_images(settings: Settings, fetching: Fetching, work: Work) -> None:
    part = work.part_key
    asked = _asked(work)
    store = open_store(settings, work.warehouse)
    _remove_addresses(store, work, part)
    previous = _published(work, part)
    if work.was_edited(INSPECTION):
        previous = _looked_at_again(previous, store, fetching.limits)
    rules = fetching.rules(work, part, Removals(tuple(read_tombstones(store.lake))))
    with store.writer(part) as writer:
        found = harvest(
            part.source,
            asked,
            previous,
            writer=writer,
            rules=replace(rules, asked_again=_asked_again(work, part, store) if rules.policy is not None else {}),
            log=lambda text: work.log(f"{part.key}: {text}"),
            now=datetime.now(UTC),
        )
    _clear_out(store, found)
    work.write_rows(result_columns(part.source, part.part, found.rows), content=content_digest(found.rows))


def _asked(work: Work) -> list[Asked]:
    rows = work.connection.execute(f"select sample_id, url, is_removed from {REQUESTS} order by sample_id").fetchall()
    return [Asked(*row) for row in rows]


def _published(work: Work, part: PartKey) -> Iterable[Result]:
    """Results of earlier runs. What is removed is not among them: it has no address to find it by."""
    if not work.warehouse.has_part(IMAGES, part):
        return []
    select = work.warehouse.select(IMAGES, part)
    rows = work.connection.sql(f"select * from ({select}) where url_hash is not null").to_arrow_table().to_pylist()
    return map(Result.of_row, rows)


def _asked_again(work: Work, part: PartKey, store: ImageStore) -> dict[str, datetime]:
    """Addresses of earlier failures that a person wants to be asked again, by url_hash."""
    if not work.warehouse.has_part(IMAGES, part) or not (wishes := take_wishes(store.lake, part)):
        return {}
    return wished_hashes(work.connection, work.warehouse.select(IMAGES, part), wishes)


def _looked_at_again(results: Iterable[Result], store: ImageStore, limits: FetchPolicy) -> Iterator[Result]:
    """Results with what is found out today of the pictures that are stored; of those that are none by now there is no
    result, so that they are asked for again.
    """
    every = list(results)
    contents = sorted({result.sha256 for result in every if result.is_success and result.sha256 is not None})
    found = {sha256: _inspected(data, limits) for sha256, data in store.contents(contents) if isinstance(data, bytes)}
    for result in every:
        seen = found.get(result.sha256 or "") if result.is_success else None
        if seen is None:
            yield result
        elif seen.error is None:
            yield replace(
                result,
                mime_type=seen.mime_type,
                width=seen.width,
                height=seen.height,
                mode=seen.mode,
                is_animated=seen.is_animated,
                phash=seen.phash,
            )


def _inspected(data: bytes, limits: FetchPolicy) -> "Inspection":
    """What is found out of the bytes of a picture."""
    from laionet_assets.pictures.inspection import inspect

    return inspect(data, min_pixels=limits.min_pixels, max_pixels=limits.max_pixels)


def _clear_out(store: ImageStore, found: Harvest) -> None:
    """Delete what must not stay, and remove what led to something removed."""
    if found.unwanted:
        store.discard(found.unwanted)
    if found.met:
        remove(store, found.met, requested=())


def _forget_unfinished(settings: Settings, work: Work) -> None:
    store = open_store(settings, work.warehouse)
    with store.writer(work.part_key) as writer:
        writer.forget_journal()
    forget_wishes(store.lake, work.part_key)


def _due(warehouse: Warehouse, parts: Sequence[PartKey], *, error_class: str | None = None) -> set[PartKey | None]:
    """Of these parts, those with a published failure, of this class or any, that may be tried again now."""
    if not parts:
        return set()
    files = [warehouse.lake.current(warehouse.table(IMAGES), part) for part in parts]
    with warehouse.connect() as connection:
        rows = connection.execute(
            f"select distinct source, part from read_parquet({literals(files)}, hive_partitioning = false) "
            "where next_attempt_at <= $1 and ($2 is null or error_class = $2)",
            [datetime.now(UTC), error_class],
        ).fetchall()
    return {PartKey(*row) for row in rows}


def _write_leftovers(settings: Settings, project: Project, work: Work) -> None:
    """Look for what was removed, in the store and in every table made from pictures."""
    store = open_store(settings, work.warehouse)
    found: list[Leftover] = []
    if read_tombstones(store.lake):
        _forget_superseded(work.warehouse)
        relations = {
            name: select
            for name in _follow_removals(project)
            if work.warehouse.is_published(name) and (select := _traces_in(work.warehouse, name)) is not None
        }
        found = leftovers(store, work.connection, relations)
        work.log(f"{len(relations)} tables and the image store looked through: {len(found):,} left")
    work.write_rows(
        [{"place": each.where, "kind": each.kind, "value": each.value, "rows": each.count} for each in found]
    )


def _forget_superseded(warehouse: Warehouse) -> None:
    """Delete earlier generations of the files of every table: they still hold what was removed since.

    The one place that does so. It comes last, when every table has been made again without it.
    """
    warehouse.lake.forget_superseded()


def _follow_removals(project: Project) -> list[str]:
    """Every table that is made from core.removals, directly or not: requests, images, sets, what reads them."""
    found = {REMOVALS}
    for model in project.in_order():
        if found & model.dependencies:
            found.add(model.name)
    return sorted(found - {LEFTOVERS, REMOVALS})


def _traces_in(warehouse: Warehouse, name: str) -> str | None:
    """A SELECT of what a table has of addresses, contents and samples; None where it has none of them.

    In some tables the row of a removed sample stays and says so; it must have neither address nor content.
    """
    names = warehouse.table(name).column_names
    columns = [identifier(column) for column in ("url", "sha256", "image_id") if column in names]
    if {"source", "sample_id"} <= set(names):
        says_removed = {
            REMOVED_SAMPLES: "true",
            REQUESTS: "is_removed",
            IMAGES: "status = 'removed'",
            SELECTION_SEEN: "reason is not distinct from 'removed'",
        }.get(name, "false")
        columns += [f"case when not ({says_removed}) then {key} end as {key}" for key in ("source", "sample_id")]
    return f"select {', '.join(columns)} from ({warehouse.select(name)})" if columns else None
