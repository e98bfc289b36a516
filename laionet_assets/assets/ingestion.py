"""Stage sources: raw.parts, raw.quarantine, raw.pairs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial

from laionet_assets.assets.parts import RegisteredPart, load_register, look_again, registered_part
from laionet_assets.assets.steps import Computation, Step, Work
from laionet_assets.errors import UserError
from laionet_assets.settings import Settings, SettingsError, SourceSettings
from laionet_assets.sources import (
    AUTO,
    READ_COLUMNS,
    PartRecord,
    adapter_module,
    adapter_named,
    detect_adapter,
    fingerprint,
    inspect_part,
    pairs_view_sql,
    quarantine_sql,
    read_records,
)
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.sql import literals
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import MissingTableError, SourceView, Stamp, Warehouse, how_to_make

PARTS_TABLE = "raw.parts"
KEPT_RECORDS = 100_000
"""About 7 kB each. Fewer than there are parts would be read again and again: 40,000 take a minute."""
_RECORDS: dict[tuple[str, Stamp | None], PartRecord | None] = {}
"""The last records, or that there is none, by the file of raw.parts and its stamp."""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the three tables, one part at a time."""
    _assert_adapters(settings)
    sources = {source.name: source for source in settings.sources}
    fingerprints: dict[tuple[str, str], str] = {}
    detected: dict[tuple[str, str], str | None] = {}
    computations: dict[str, Computation] = {}

    def content(warehouse: Warehouse, part: PartKey | None) -> str:
        """What the rows of a part depend on: adapter and content of its file. Unchanged files are not read again."""
        file = load_register(warehouse).get(part) if part else None
        if file is None or file.source not in sources:
            return ""
        seen = fingerprints.get((file.path, file.signature)) or _recorded(warehouse, file, "fingerprint")
        if seen is None:
            seen = fingerprint(file.file, storage_options=sources[file.source].storage_options)
        fingerprints[file.path, file.signature] = seen
        source = sources[file.source]
        mapping = " ".join(f"{column}={name}" for column, name in sorted(source.columns.items()))
        return f"{source.adapter} {file.ordinal} {file.path} {seen} {mapping}".rstrip()

    def adapters(warehouse: Warehouse, part: PartKey | None) -> Sequence[Computation]:
        """The adapter that a part is read by; for `auto`, the one that its columns ask for."""
        file = load_register(warehouse).get(part) if part else None
        if file is None or file.source not in sources:
            return ()
        name: str | None
        source = sources[file.source]
        name, seen = source.adapter, (file.path, file.signature)
        if name == AUTO and seen not in detected:
            known = None if source.columns else _recorded(warehouse, file, "adapter")
            detected[seen] = known or _detected(warehouse, file, source.columns)
        name = detected[seen] if name == AUTO else name
        if name and name not in computations:
            computations[name] = Computation(f"adapter {name}", adapter_module(name))
        return (computations[name],) if name else ()

    models, look = project.models, partial(look_again, settings)
    return {
        "raw.parts": Step(
            model=models["raw.parts"],
            write=partial(_write_parts, sources),
            outside=content,
            adapters=adapters,
            look=look,
        ),
        "raw.quarantine": Step(model=models["raw.quarantine"], write=partial(_write_quarantine, settings), look=look),
        "raw.pairs": Step(model=models["raw.pairs"], write=None, makers=(pairs_view_sql, PartRecord), look=look),
    }


def _write_parts(sources: Mapping[str, SourceSettings], work: Work) -> None:
    part = registered_part(work.warehouse, work.part_key)
    source = sources[part.source]
    record = inspect_part(
        work.connection,
        part.file,
        adapter=source.adapter,
        ordinal=part.ordinal,
        fingerprint=fingerprint(part.file, storage_options=source.storage_options),
        mapping=source.columns,
        storage_options=source.storage_options,
    )
    work.log(f"{record.path}: {record.adapter}, {record.rows:,} rows, {record.quarantined:,} quarantined")
    work.write_rows([asdict(record)])


def _write_quarantine(settings: Settings, work: Work) -> None:
    (record,) = read_records(work.connection)
    _assert_unchanged(settings, work.warehouse, record)
    work.write_rows(quarantine_sql(record) or [])


def source_views(settings: Settings) -> Mapping[str, SourceView]:
    """raw.pairs: read from the sources' own files, as raw.parts records them."""

    def pairs(warehouse: Warehouse, parts: Collection[PartKey] | None) -> str:
        register = load_register(warehouse)
        records = _records(warehouse, None if parts is None else sorted(parts))
        if parts is not None:
            _assert_recorded(records, parts)
            for record in records:
                _assert_unchanged(settings, warehouse, record)
        present = [record for record in records if _is_readable(register, record)]
        return pairs_view_sql(present)

    return {"raw.pairs": pairs}


def untagged_sources(settings: Settings, warehouse: Warehouse) -> list[str]:
    """Sources without a column of safety tags, of which recipes take no row for that; what to do, a sentence each."""
    strict = [recipe.name for recipe in settings.recipes if "UNKNOWN" not in recipe.nsfw]
    if not strict or not warehouse.is_published(PARTS_TABLE):
        return []
    tagged: dict[str, bool] = {}
    for record in _records(warehouse):
        tagged[record.source] = tagged.get(record.source, False) or record.resolution.has("nsfw")
    return [
        f"source {source}: its files have no safety tags, and without UNKNOWN in `nsfw` a recipe takes tagged rows "
        f"alone: none of them is in LAIONet by {', '.join(strict)}; add UNKNOWN there to take rows without a tag"
        for source, has_tags in sorted(tagged.items())
        if not has_tags
    ]


def _assert_recorded(records: Sequence[PartRecord], parts: Collection[PartKey]) -> None:
    """Raise UserError if raw.parts is from before files were read as they are now."""
    lacking = sorted({part.key for part in parts} - {PartKey(each.source, each.part).key for each in records})
    if lacking:
        raise UserError(
            f"{PARTS_TABLE} was made by an earlier version, which knew less of the files, for {', '.join(lacking)}; "
            "materialize it first: laionet run"
        )


def _records(warehouse: Warehouse, chosen: Sequence[PartKey] | None = None) -> Sequence[PartRecord]:
    """What raw.parts records, of some parts or of all; in a local lake read once a process, unless it changes.

    Records of earlier versions, which lack columns, are left out until they are made again.
    """
    table = warehouse.table(PARTS_TABLE)
    parts = warehouse.parts(PARTS_TABLE) if chosen is None else chosen
    if any(not warehouse.has_part(PARTS_TABLE, part) for part in parts):
        raise MissingTableError(f"{PARTS_TABLE} is not there yet. Materialize it first: {how_to_make(PARTS_TABLE)}")
    paths = {part: warehouse.lake.current(table, part) for part in parts}
    stamps = warehouse.stamps_of_files(paths.values()) if warehouse.lake.is_local else {}
    found = {part: _RECORDS[path, stamps[path]] for part, path in paths.items() if (path, stamps.get(path)) in _RECORDS}
    if unknown := {part: path for part, path in paths.items() if part not in found}:
        files = literals(unknown.values())
        published = f"select * from read_parquet({files}, hive_partitioning = false, union_by_name = true)"
        source = f"select * from ({table.no_rows} union all by name {published}) where reading is not null"
        with warehouse.connect() as connection:
            read = {PartKey(each.source, each.part): each for each in read_records(connection, f"({source})")}
        found |= {part: read.get(part) for part in unknown}
        if len(_RECORDS) + len(unknown) > KEPT_RECORDS:
            _RECORDS.clear()
        _RECORDS.update({(path, stamps[path]): read.get(part) for part, path in unknown.items() if path in stamps})
    return [record for part in sorted(parts) if (record := found[part]) is not None]


def _assert_adapters(settings: Settings) -> None:
    """Raise SettingsError naming every source whose adapter is not one, or maps what is no column of raw.pairs."""
    problems = []
    for i, source in enumerate(settings.sources):
        try:
            if source.adapter != AUTO:
                adapter_named(source.adapter)
        except UserError as error:
            problems.append(f"  sources[{i}].adapter: {error}")
        problems += [
            f"  sources[{i}].columns.{column}: found {column!r}, expected one of: {', '.join(READ_COLUMNS)}"
            for column in source.columns
            if column not in READ_COLUMNS
        ]
    if problems:
        raise SettingsError(f"{settings.config_path}: {len(problems)} problem(s)\n" + "\n".join(problems))


def _is_readable(register: Mapping[PartKey, RegisteredPart], record: PartRecord) -> bool:
    part = register.get(PartKey(record.source, record.part))
    return part is not None and part.is_present


def _assert_unchanged(settings: Settings, warehouse: Warehouse, record: PartRecord) -> None:
    """Raise UserError if the file is gone, or was seen with other content than raw.parts describes."""
    part = registered_part(warehouse, PartKey(record.source, record.part))
    if part.signature == record.signature:
        return
    (source,) = (source for source in settings.sources if source.name == part.source)
    if fingerprint(part.file, storage_options=source.storage_options) != record.fingerprint:
        raise UserError(
            f"part {part.key.key}: {part.path} changed since raw.parts described it; "
            f"materialize raw.parts for it first: laionet run --parts {part.key.key}"
        )


def _recorded(warehouse: Warehouse, file: RegisteredPart, column: str) -> str | None:
    """What raw.parts records of a file with this signature, if it does."""
    if not warehouse.has_part(PARTS_TABLE, file.key):
        return None
    path = warehouse.lake.current(warehouse.table(PARTS_TABLE), file.key)
    for record in warehouse.lake.read_table(path, ["signature", column]).to_pylist():
        if record["signature"] == file.signature:
            return str(record[column])
    return None


def _detected(warehouse: Warehouse, file: RegisteredPart, mapping: Mapping[str, str]) -> str | None:
    """The adapter that a file's columns ask for; None if none does: making the part says what is wrong with it."""
    with warehouse.connect() as connection:
        try:
            return detect_adapter(connection, file.file, mapping=mapping).name
        except UserError:
            return None
