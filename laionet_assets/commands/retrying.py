"""`laionet retry`: let the next run ask again for pictures that failed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from laionet_assets.assets.fetching import Fetching
from laionet_assets.assets.images import IMAGES, open_store
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.commands.terminal import open_console
from laionet_assets.errors import UserError
from laionet_assets.images.again import Wish, ask_again
from laionet_assets.images.fetch.outcomes import ErrorClass, Status, status_of
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.sql import literals
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse


def retry_failures(
    config: Path | None = None,
    *,
    error_classes: Sequence[str] = (),
    hosts: Sequence[str] = (),
    since: str | None = None,
    console: Console | None = None,
) -> int:
    """Count the failures of core.images of these classes and hosts that were last tried since a date, and make their
    parts due: the next run asks for them again.

    Returns how many. What is opted out, blocked or removed is never among them. Raises UserError for a class, host or
    date that cannot be.
    """
    settings = load_settings(config)
    warehouse = build_pipeline(settings).warehouse
    wish = Wish(
        error_classes=_known_classes(error_classes),
        hosts=tuple(map(_host, hosts)),
        since=_date(since) if since is not None else None,
        asked_at=datetime.now(UTC),
    )
    found = _count(warehouse, wish)
    console = console or open_console()
    if not found:
        console.print("no failed picture of core.images is of these: nothing is asked again")
        return 0
    table = Table("part", "error class", "pictures", title="failed pictures that are asked again")
    for (part, error_class), pictures in sorted(found.items()):
        table.add_row(part.key, error_class, f"{pictures:,}")
    console.print(table)
    parts = sorted({part for part, _ in found})
    ask_again(open_store(settings, warehouse).lake, parts, wish)
    total = sum(found.values())
    console.print(f"{total:,} pictures in {_parts(len(parts))} of {IMAGES} are out of date; to ask: laionet run")
    fetching = Fetching(settings)
    off = sorted({part.source for part in parts if not fetching.applies_to(part.source)})
    if off:
        console.print(f"{', '.join(off)}: not before images.fetch.enabled is set, as fetching is switched off")
    return total


def _count(warehouse: Warehouse, wish: Wish) -> dict[tuple[PartKey, str], int]:
    """Failures that a wish is about, by part and class."""
    parts = warehouse.parts(IMAGES)
    if not parts:
        raise UserError(f"{IMAGES} is not there yet: nothing was asked. Run first: laionet run")
    files = [warehouse.lake.current(warehouse.table(IMAGES), part) for part in parts]
    select, values = wish.matching(f"select * from read_parquet({literals(files)}, hive_partitioning = false)")
    with warehouse.connect() as connection:
        counted = f"select source, part, error_class, count(*) from ({select}) group by all"
        rows = connection.execute(counted, values).fetchall()
    return {(PartKey(source, part), error_class): count for source, part, error_class, count in rows}


def _known_classes(names: Sequence[str]) -> tuple[str, ...]:
    failures = sorted(error.value for error in ErrorClass if status_of(error) is Status.FAILED)
    unknown = [name for name in names if name not in failures]
    if unknown:
        hint = " (opt-outs and blocks always stand)" if {"opted_out", "blocked", "removed"} & set(unknown) else ""
        raise UserError(f"--class: found {', '.join(unknown)}{hint}; expected some of: {', '.join(failures)}")
    return tuple(names)


def _host(text: str) -> str:
    host = text.strip().rstrip(".").lower()
    if not host or "/" in host:
        raise UserError(f"--host: found {text!r}; expected the name of a host, such as images.example.org")
    return host


def _date(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"--since: found {text!r}; expected a date or a time, such as 2026-11-01 or 2026-11-01T18:00"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _parts(count: int) -> str:
    return "1 part" if count == 1 else f"{count:,} parts"
