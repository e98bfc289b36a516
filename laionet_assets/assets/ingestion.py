"""Stage sources: raw.parts, raw.quarantine, raw.pairs."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict

from laionet_assets.assets.parts import RegisteredPart, load_register, registered_part
from laionet_assets.assets.steps import Step, Work
from laionet_assets.errors import UserError
from laionet_assets.settings import Settings, SettingsError
from laionet_assets.sources import (
    AUTO,
    PartRecord,
    adapter_named,
    fingerprint,
    inspect_part,
    pairs_view_sql,
    quarantine_sql,
    read_records,
)
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import SourceView, Warehouse

PARTS_TABLE = "raw.parts"
_RECORDS: dict[tuple[Hashable, ...], Sequence[PartRecord]] = {}
"""The last records, by the SELECT that gave them and the stamps of its files."""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the three tables, one part at a time."""
    _assert_adapters(settings)
    sources = {source.name: source for source in settings.sources}
    fingerprints: dict[tuple[str, str], str] = {}

    def content(warehouse: Warehouse, part: PartKey | None) -> str:
        """What the rows of a part depend on: adapter and content of its file. Unchanged files are not read again."""
        file = load_register(warehouse).get(part) if part else None
        if file is None or file.source not in sources:
            return ""
        seen = fingerprints.get((file.path, file.signature)) or _recorded_fingerprint(warehouse, file)
        if seen is None:
            seen = fingerprint(file.file, storage_options=sources[file.source].storage_options)
        fingerprints[file.path, file.signature] = seen
        return f"{sources[file.source].adapter} {file.ordinal} {file.path} {seen}"

    def write_parts(work: Work) -> None:
        part = registered_part(work.warehouse, work.part_key)
        source = sources[part.source]
        record = inspect_part(
            work.connection,
            part.file,
            adapter=source.adapter,
            ordinal=part.ordinal,
            fingerprint=fingerprint(part.file, storage_options=source.storage_options),
        )
        work.log(f"{record.path}: {record.adapter}, {record.rows:,} rows, {record.quarantined:,} quarantined")
        work.write_rows([asdict(record)])

    def write_quarantine(work: Work) -> None:
        (record,) = read_records(work.connection)
        _assert_unchanged(settings, work.warehouse, record)
        work.write_rows(quarantine_sql(record) or [])

    models = project.models
    return {
        "raw.parts": Step(model=models["raw.parts"], code_version="1", write=write_parts, outside=content),
        "raw.quarantine": Step(model=models["raw.quarantine"], code_version="1", write=write_quarantine),
        "raw.pairs": Step(model=models["raw.pairs"], code_version="1", write=None),
    }


def source_views(settings: Settings) -> Mapping[str, SourceView]:
    """raw.pairs: read from the sources' own files, as raw.parts records them."""

    def pairs(warehouse: Warehouse, parts: Collection[PartKey] | None) -> str:
        register = load_register(warehouse)
        records = _records(warehouse)
        if parts is not None:
            records = [record for record in records if PartKey(record.source, record.part) in parts]
            for record in records:
                _assert_unchanged(settings, warehouse, record)
        present = [record for record in records if _is_readable(register, record)]
        return pairs_view_sql(present)

    return {"raw.pairs": pairs}


def _records(warehouse: Warehouse) -> Sequence[PartRecord]:
    """What raw.parts records; in a local lake read once a process, unless it changes."""
    source = warehouse.select(PARTS_TABLE)
    known = (source, *warehouse.stamps(PARTS_TABLE).values()) if warehouse.lake.is_local else None
    if known is not None and known in _RECORDS:
        return _RECORDS[known]
    with warehouse.connect() as connection:
        records = read_records(connection, f"({source})")
    if known is not None:
        _RECORDS.clear()
        _RECORDS[known] = records
    return records


def _assert_adapters(settings: Settings) -> None:
    """Raise SettingsError naming every source whose adapter is not one."""
    problems = []
    for i, source in enumerate(settings.sources):
        try:
            if source.adapter != AUTO:
                adapter_named(source.adapter)
        except UserError as error:
            problems.append(f"  sources[{i}].adapter: {error}")
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


def _recorded_fingerprint(warehouse: Warehouse, file: RegisteredPart) -> str | None:
    """The fingerprint that raw.parts has of a file with this signature, if any."""
    if file.key not in warehouse.parts(PARTS_TABLE):
        return None
    with warehouse.connect() as connection:
        row = connection.execute(
            f"select fingerprint from ({warehouse.select(PARTS_TABLE, file.key)}) where signature = ?", [file.signature]
        ).fetchone()
    return row[0] if row else None
