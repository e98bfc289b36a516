"""`laionet snapshot`: which tables and rows leave the warehouse, as one database to copy and keep."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from laionet_assets.commands.published import open_published
from laionet_assets.errors import UserError
from laionet_assets.warehouse.snapshot import write_snapshot
from laionet_assets.warehouse.warehouse import Warehouse, how_to_make

REMOVALS = "core.removals"
_MARK = "laionet_is_removed"


def snapshot(file: str, *, config: Path | None = None, tables: Sequence[str] = ()) -> None:
    """Write published tables to `file` as one DuckDB database: those whose name matches one of `tables`, or all.

    Vectors and views over the sources stay here; of what was removed, address and caption do.
    """
    warehouse = open_published(config)
    names = chosen_tables(warehouse, tables)
    without_removed = select_without_removed(warehouse)
    rows = write_snapshot(warehouse, file, {name: without_removed(name) for name in names})
    print(f"{file}: {len(rows)} tables, {sum(rows.values()):,} rows")


def chosen_tables(warehouse: Warehouse, patterns: Sequence[str]) -> list[str]:
    """Published tables whose name matches a pattern such as `marts.*`; all that may leave without patterns.

    Raises UserError for a pattern that matches no table that may leave, and if nothing of it is published.
    """
    possible = sorted(name for name, table in warehouse.tables.items() if table.is_in_snapshot and not table.is_view)
    chosen: set[str] = set()
    for pattern in patterns or ("*",):
        found = [name for name in possible if fnmatchcase(name, pattern)]
        if not found:
            raise UserError(
                f"--tables {pattern!r} matches no table of a snapshot (vectors and views over the sources stay in the "
                f"warehouse); expected some of: {', '.join(possible)}"
            )
        published = [name for name in found if warehouse.is_published(name)]
        if not published:
            what, how = (pattern, how_to_make(*found)) if patterns else ("any table", "laionet run")
            raise UserError(f"{warehouse.lake.root} does not hold {what} yet; run first: {how}")
        chosen.update(published)
    return sorted(chosen)


def select_without_removed(warehouse: Warehouse) -> Callable[[str], str]:
    """The SELECT of a table as it leaves the warehouse: without address and caption of what was removed.

    core.candidates keeps them, as published by the source, so that the source need not be read again.
    """
    removals = warehouse.select(REMOVALS) if warehouse.is_published(REMOVALS) else None

    def select(name: str) -> str:
        columns = warehouse.table(name).column_names
        private = [column for column in ("url", "caption", "caption_id") if column in columns]
        if removals is None or not private or not {"source", "sample_id"} <= set(columns):
            return warehouse.select(name)
        removed = "exists (from removals r where r.kind = 'sample' and r.value = t.source || '/' || t.sample_id)"
        if "url" in columns:
            removed += " or exists (from removals r where r.kind = 'url_hash' and r.value = sha256(t.url))"
        blanked = ", ".join(f"case when not {_MARK} then {column} end as {column}" for column in private)
        return (
            f"with removals as ({removals}) select * exclude ({_MARK}) replace ({blanked}) "
            f"from (select *, {removed} as {_MARK} from ({warehouse.select(name)}) t)"
        )

    return select
