"""The register of parts: which files are there, under which ordinal, and which are gone.

A part gets its ordinal at first sight and keeps it for ever, because sample ids are made of it. The register is one
small file beside the tables, `parts.json`, written whole. Processes of one machine take turns.
"""

import json
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

from laionet_assets.errors import UserError
from laionet_assets.sample import sample_web_folder
from laionet_assets.settings import Settings, SourceSettings
from laionet_assets.sources import PartFile, assign_ordinals, discover, look_at, part_number_of, resolve_path
from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.rows import write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse

REGISTER = "parts.json"
RETIRED = Stamp.of("retired")
_REGISTERS: dict[Hashable, dict[PartKey, "RegisteredPart"]] = {}
"""The last register read, by its path and what tells its states apart."""


@dataclass(frozen=True)
class RegisteredPart:
    """A part as the register knows it. `signature` is the cheap one (size and time, or ETag) of the file as seen last.

    `departures` counts how often its file went away.
    """

    source: str
    part: str
    ordinal: int
    path: str
    size_bytes: int
    signature: str
    is_present: bool = True
    is_retired: bool = False
    departures: int = 0

    @property
    def key(self) -> PartKey:
        return PartKey(self.source, self.part)

    @property
    def file(self) -> PartFile:
        """The file as `sources` knows it."""
        return PartFile(self.source, self.part, self.path, self.size_bytes, self.signature)


@dataclass(frozen=True)
class PartSync:
    """What a look at the sources found. `to_retire`: parts that are gone, of sources that want their rows gone too."""

    present: tuple[PartKey, ...]
    new: tuple[PartKey, ...]
    gone: tuple[PartKey, ...]
    to_retire: tuple[RegisteredPart, ...]

    @property
    def kept(self) -> list[PartKey]:
        """Parts whose file is gone and whose rows stay."""
        leaving = {part.key for part in self.to_retire}
        return [part for part in self.gone if part not in leaving]

    @property
    def notices(self) -> list[str]:
        """What a person should know of it."""
        leaving = {part.key for part in self.to_retire}
        return [
            f"{part.key}: its file is gone; "
            + ("the sensor removed_parts retires it" if part in leaving else "its rows stay (when_removed: keep)")
            for part in self.gone
        ]


def sync_parts(settings: Settings, warehouse: Warehouse) -> PartSync:
    """Look at every source and bring the register up to date. Raises UserError (SourceError) if a source cannot be
    used.
    """
    with warehouse.lake.turn(REGISTER):
        before = load_register(warehouse)
        after = {key: part for key, part in before.items() if part.source not in _source_names(settings)}
        problems: list[str] = []
        for source in settings.sources:
            try:
                after.update(_sync_source(settings, source, warehouse, before))
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("\n".join(problems))
        if after != before:
            _save_register(warehouse, after.values())
            refresh_catalog(warehouse)
    wants_drop = {source.name for source in settings.sources if source.when_removed == "drop"}
    named = _source_names(settings)
    gone = [part for part in after.values() if part.source in named and not part.is_present and not part.is_retired]
    return PartSync(
        present=tuple(sorted(part.key for part in after.values() if part.is_present and part.source in named)),
        new=tuple(sorted(after.keys() - before.keys())),
        gone=tuple(sorted(part.key for part in gone)),
        to_retire=tuple(sorted((part for part in gone if part.source in wants_drop), key=lambda part: part.key)),
    )


def look_again(settings: Settings, warehouse: Warehouse, key: PartKey | None) -> None:
    """Look at the file of one known part; the register follows if it changed, went away or came back."""
    sources = {source.name: source for source in settings.sources}
    known = load_register(warehouse).get(key) if key is not None else None
    if known is None or known.source not in sources:
        return
    seen = look_at(known.file, storage_options=sources[known.source].storage_options)
    if seen is not None:
        now = replace(known, size_bytes=seen.size_bytes, signature=seen.signature, is_present=True, is_retired=False)
    else:
        now = replace(known, is_present=False, departures=known.departures + known.is_present)
    if now != known:
        with warehouse.lake.turn(REGISTER):
            _save_register(warehouse, {**load_register(warehouse), known.key: now}.values())


def load_register(warehouse: Warehouse) -> dict[PartKey, RegisteredPart]:
    """Every part ever seen; a local register is read once a process, unless it changes."""
    state = _register_state(warehouse)
    if state is None or state not in _REGISTERS:
        text = warehouse.lake.read_small(REGISTER)
        parts = [RegisteredPart(**entry) for entry in json.loads(text)["parts"]] if text else []
        if state is None:
            return {part.key: part for part in parts}
        _REGISTERS.clear()
        _REGISTERS[state] = {part.key: part for part in parts}
    return dict(_REGISTERS[state])


def registered_part(warehouse: Warehouse, key: PartKey) -> RegisteredPart:
    """A part whose file is there. Raises UserError if it is not known or gone."""
    part = load_register(warehouse).get(key)
    if part is None:
        raise UserError(f"part {key.key} is not registered; look at the sources first: laionet run")
    if not part.is_present:
        raise UserError(f"part {key.key}: its file {part.path} is gone; put it back, or leave the part as it is")
    return part


def retire_parts(warehouse: Warehouse, parts: Collection[PartKey]) -> dict[PartKey, list[str]]:
    """Empty every partitioned table of these parts, so that readers never miss a file. Returns the tables emptied, by
    part.

    Parts whose file came back are left alone.
    """
    emptied: dict[PartKey, list[str]] = {}
    for part in sorted(parts):
        if load_register(warehouse)[part].is_present:
            continue
        emptied[part] = []
        for name, table in sorted(warehouse.tables.items()):
            if table.is_partitioned and not table.is_view and part in warehouse.lake.parts(table):
                with warehouse.lake.stage(table, part) as staged:
                    write_table(staged.path, table, [], stamps=RETIRED.metadata)
                    warehouse.lake.publish(staged)
                emptied[part].append(name)
        with warehouse.lake.turn(REGISTER):
            register = load_register(warehouse)
            register[part] = replace(register[part], is_retired=True)
            _save_register(warehouse, register.values())
    refresh_catalog(warehouse)
    return emptied


def source_path(settings: Settings, source: SourceSettings) -> str:
    """Absolute path or URL of a source; `sample://web` is drawn first if it is not there."""
    path = resolve_path(source.path, resolvers={"sample": partial(_sample_folder, sample_cache(settings))})
    return settings.resolve(path)


def sample_cache(settings: Settings) -> Path:
    """Local folder of what this project draws itself: in the warehouse, or beside the settings if that is remote."""
    root = settings.warehouse_root
    return Path(settings.home / "sample" if "://" in root else root) / "sample"


def _sample_folder(cache: Path, name: str) -> Path:
    """The folder behind `sample://<name>`: `web`, or `web?parts=1&rows=300` for one of another size, in a cache of its
    own.
    """
    size = _sample_size(name)
    cache = cache / "-".join(f"{value}-{key}" for key, value in size.items()) if size else cache
    cache.mkdir(parents=True, exist_ok=True)
    return sample_web_folder(cache, **size)


def _sample_size(name: str) -> dict[str, int]:
    """Parts and rows, as far as a name says them. Raises UserError."""
    kind, _, query = name.partition("?")
    least = {"parts": 1, "rows": 100}
    pairs = parse_qsl(query, keep_blank_values=True)
    is_known = all(key in least and value.isdecimal() and int(value) >= least[key] for key, value in pairs)
    if kind != "web" or not is_known or len(dict(pairs)) < len(pairs) or bool(query) != bool(pairs):
        raise UserError(
            f"sample://{name}: expected sample://web, or with a size: sample://web?parts=1&rows=300 "
            "(at least 1 part, 100 rows a part)"
        )
    return {key: int(value) for key, value in sorted(pairs)}


def _sync_source(
    settings: Settings, source: SourceSettings, warehouse: Warehouse, before: Mapping[PartKey, RegisteredPart]
) -> dict[PartKey, RegisteredPart]:
    known = {part.part: part for part in before.values() if part.source == source.name}
    files = discover(source.name, source.adapter, source_path(settings, source), storage_options=source.storage_options)
    new = [file.part for file in files if file.part not in known]
    ordinals = {name: part.ordinal for name, part in known.items()}
    if new:
        ordinals = assign_ordinals(ordinals, new, part_number=part_number_of(source.adapter))
    found = {
        PartKey(source.name, file.part): RegisteredPart(
            source=source.name,
            part=file.part,
            ordinal=ordinals[file.part],
            path=file.path,
            size_bytes=file.size_bytes,
            signature=file.signature,
            departures=known[file.part].departures if file.part in known else 0,
        )
        for file in files
    }
    left = {
        part.key: replace(part, is_present=False, departures=part.departures + part.is_present)
        for part in known.values()
        if part.key not in found
    }
    return {**left, **found}


def _register_state(warehouse: Warehouse) -> Hashable | None:
    """What tells one state of a local register from another; None where there is none, or not on this machine."""
    path = Path(warehouse.lake.root) / REGISTER
    if not warehouse.lake.is_local or not path.is_file():
        return None
    seen = path.stat()
    return (str(path), seen.st_ino, seen.st_mtime_ns, seen.st_size)


def _save_register(warehouse: Warehouse, parts: Iterable[RegisteredPart]) -> None:
    ordered = sorted(parts, key=lambda part: part.key)
    warehouse.lake.write_small(REGISTER, json.dumps({"parts": [asdict(part) for part in ordered]}, indent=1) + "\n")


def _source_names(settings: Settings) -> set[str]:
    return {source.name for source in settings.sources}
