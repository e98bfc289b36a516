"""Stage images: core.removals, core.images and marts.removal_leftovers (core.image_requests and marts.image_outcomes
are SQL).

Belongs here: the three steps. Does not belong here: what the settings say about fetching (`fetching`), what becomes of
an address (`images.harvest`), tombstones (`images.removals`), the files of pictures (`images.store`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from laionet_assets.assets.fetching import Fetching
from laionet_assets.assets.steps import Step, Work
from laionet_assets.images.harvest import Asked, Harvest, harvest
from laionet_assets.images.removals import (
    Leftover,
    Removal,
    Removals,
    leftovers,
    read_removals,
    remove,
    spread,
    url_hash,
)
from laionet_assets.images.results import STORE_FULL, Result, content_digest, result_columns
from laionet_assets.images.shards import PartBusyError
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import read_tombstones, tombstones_digest
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.sql import identifier, literals
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import VERSION_KEY, Warehouse, digest, stamps_of

FETCH_POOL = "fetch"
CANDIDATES, REQUESTS, REMOVALS, IMAGES = "core.candidates", "core.image_requests", "core.removals", "core.images"
LEFTOVERS = "marts.removal_leftovers"
_SAMPLE = "source, sample_id, url, sha256"
_CANDIDATE = "distinct source, sample_id, url, null as sha256"


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the three tables. Raises SettingsError if the fetcher cannot stand the settings."""
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

    def has_other_tombstones(warehouse: Warehouse, part: PartKey | None) -> bool:
        stamp = warehouse.stamps(REMOVALS).get(None)
        return stamp is not None and stamp.version != _stamped(stamp.inputs, tombstones(warehouse))

    def has_due_failures(warehouse: Warehouse, part: PartKey | None) -> bool:
        if part is None:
            return False
        if fetching.applies_to(part.source):
            return _has_due(warehouse, part)
        return fetching.takes_over(part.source) and _has_due(warehouse, part, error_class=STORE_FULL)

    models = project.models
    return {
        REMOVALS: Step(
            model=models[REMOVALS],
            code_version="1",
            write=partial(_write_removals, settings, listed),
            outside=list_of_removals,
            is_due=has_other_tombstones,
            pool=FETCH_POOL,
        ),
        IMAGES: Step(
            model=models[IMAGES],
            code_version="1",
            write=partial(_write_images, settings, fetching),
            outside=rules_and_tombstones,
            is_due=has_due_failures,
            pool=FETCH_POOL,
            after_publish=partial(_forget_journal, settings),
        ),
        LEFTOVERS: Step(
            model=models[LEFTOVERS],
            code_version="1",
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
        report = remove(store, spread(requested, work.connection, _every_image(work.warehouse)), requested)
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


def _every_image(warehouse: Warehouse) -> str:
    """Every sample with its address, and its content if it was fetched, of sources that were taken out of the settings
    too: what a removal spreads over.

    Read past the declared inputs: core.images reads core.removals, which comes first.
    """
    selects = [f"select {_SAMPLE} from ({warehouse.table(IMAGES).no_rows})"]
    for name, columns in ((IMAGES, _SAMPLE), (CANDIDATES, _CANDIDATE)):
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
    if not removed or part not in work.warehouse.parts(CANDIDATES):
        return
    rows = work.connection.execute(
        f"select distinct sample_id, url from ({work.warehouse.select(CANDIDATES, part)}) "
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
    with store.writer(part) as writer:
        found = harvest(
            part.source,
            asked,
            _published(work, part),
            writer=writer,
            rules=fetching.rules(work, part, Removals(tuple(read_tombstones(store.lake)))),
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
    if part not in work.warehouse.parts(IMAGES):
        return []
    select = work.warehouse.select(IMAGES, part)
    rows = work.connection.sql(f"select * from ({select}) where url_hash is not null").to_arrow_table().to_pylist()
    return map(Result.of_row, rows)


def _clear_out(store: ImageStore, found: Harvest) -> None:
    """Delete what must not stay, and remove what led to something removed."""
    if found.unwanted:
        store.discard(found.unwanted)
    if found.met:
        remove(store, found.met, requested=())


def _forget_journal(settings: Settings, work: Work) -> None:
    with open_store(settings, work.warehouse).writer(work.part_key) as writer:
        writer.forget_journal()


def _has_due(warehouse: Warehouse, part: PartKey, *, error_class: str | None = None) -> bool:
    """Whether a published failure, of this class or any, may be tried again now."""
    if part not in warehouse.parts(IMAGES):
        return False
    with warehouse.connect() as connection:
        rows = connection.execute(
            f"select 1 from ({warehouse.select(IMAGES, part)}) "
            "where next_attempt_at <= $1 and ($2 is null or error_class = $2) limit 1",
            [datetime.now(UTC), error_class],
        ).fetchall()
    return bool(rows)


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

    Of requests and images, the row of a removed sample stays and says so; it must have neither address nor content.
    """
    names = warehouse.table(name).column_names
    columns = [identifier(column) for column in ("url", "sha256", "image_id") if column in names]
    if {"source", "sample_id"} <= set(names):
        is_removed = {REQUESTS: "is_removed", IMAGES: "status = 'removed'"}.get(name, "false")
        columns += [f"case when not {is_removed} then {column} end as {column}" for column in ("source", "sample_id")]
    return f"select {', '.join(columns)} from ({warehouse.select(name)})" if columns else None


def _stamped(inputs: str, content: str) -> str:
    """The version of a file made from these inputs with this content."""
    return stamps_of(inputs, content=content)[VERSION_KEY]
