"""The register of parts: which files are there, under which ordinal, and which are gone.

A part gets its ordinal at first sight and keeps it for ever, because sample ids are made of it. The register is one
small file beside the tables, `parts.json`, written whole. Processes of one machine take turns.
"""

import json
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from laionet_assets.errors import UserError
from laionet_assets.sample import sample_web_folder
from laionet_assets.sample.causes import WHOLE
from laionet_assets.settings import Settings, SourceSettings
from laionet_assets.sources import (
    Discovery,
    NoPartsError,
    PartFile,
    SourceError,
    assign_ordinals,
    discover,
    look_at,
    resolve_path,
)
from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.rows import write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse

REGISTER = "parts.json"
SAMPLE = "sample://"
RETIRED = Stamp.of("retired")
RETIRED_TOGETHER = 500
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
    """What a look at the sources found.

    gone: parts whose file is not there; to_retire: those of sources that want their rows gone too. sealed: parts whose
    file cannot be read now, because it is gone or its source cannot be looked at; their rows stay. problems: sources
    and parts that cannot be used, one message each; everything else goes on without them. notes: what a person should
    know besides.
    """

    present: tuple[PartKey, ...]
    new: tuple[PartKey, ...]
    gone: tuple[PartKey, ...]
    to_retire: tuple[RegisteredPart, ...]
    sealed: tuple[PartKey, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _SourceLook:
    """What one source has: its parts as the register is to have them, those of them that cannot be read now, and what
    to say of it.
    """

    parts: Mapping[PartKey, RegisteredPart]
    unread: Collection[PartKey] = ()
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


def sync_parts(settings: Settings, warehouse: Warehouse) -> PartSync:
    """Look at every source and bring the register up to date. A source that cannot be used costs its own parts alone.

    Raises UserError (SourceError) if there is no part at all, and sources that cannot be used are why.
    """
    with warehouse.lake.turn(REGISTER):
        before = load_register(warehouse)
        looks = [_look_at_source(settings, source, before) for source in settings.sources]
        after = {key: part for key, part in before.items() if part.source not in _source_names(settings)}
        after.update({key: part for look in looks for key, part in look.parts.items()})
        if after != before:
            _save_register(warehouse, after.values())
            refresh_catalog(warehouse)
    problems = [problem for look in looks for problem in look.problems]
    parts = {key: part for look in looks for key, part in look.parts.items()}
    if problems and all(part.is_retired for part in parts.values()):
        raise SourceError("\n".join(problems))
    unread = {key for look in looks for key in look.unread}
    wants_drop = {source.name for source in settings.sources if source.when_removed == "drop"}
    gone = sorted(key for key, part in parts.items() if not part.is_present and not part.is_retired)
    to_retire = [parts[key] for key in gone if key.source in wants_drop and key not in unread]
    leaving = {part.key for part in to_retire}
    return PartSync(
        present=tuple(sorted(key for key, part in parts.items() if part.is_present and key not in unread)),
        new=tuple(sorted(after.keys() - before.keys())),
        gone=tuple(gone),
        to_retire=tuple(to_retire),
        sealed=tuple(sorted(({*gone} - leaving) | {key for key in unread if not parts[key].is_retired})),
        problems=tuple(problems),
        notes=(
            *(note for look in looks for note in look.notes),
            *(
                f"{key.key}: its file is gone; "
                + ("the sensor removed_parts retires it" if key in leaving else "its rows stay (when_removed: keep)")
                for key in gone
                if key not in unread
            ),
        ),
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


def load_register(warehouse: Warehouse) -> Mapping[PartKey, RegisteredPart]:
    """Every part ever seen; a local register is read once a process, unless it changes. Not to be written to: it is
    looked up for every part, so that a copy would cost parts times parts.
    """
    state = _register_state(warehouse)
    if state is None or state not in _REGISTERS:
        text = warehouse.lake.read_small(REGISTER)
        parts = [RegisteredPart(**entry) for entry in json.loads(text)["parts"]] if text else []
        if state is None:
            return {part.key: part for part in parts}
        _REGISTERS.clear()
        _REGISTERS[state] = {part.key: part for part in parts}
    return MappingProxyType(_REGISTERS[state])


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

    Parts whose file came back are left alone. The register is written after so many parts (`RETIRED_TOGETHER`): a
    killed process leaves at most these to be emptied once more.
    """
    emptied: dict[PartKey, list[str]] = {}
    ordered = sorted(parts)
    for first in range(0, len(ordered), RETIRED_TOGETHER):
        lot = ordered[first : first + RETIRED_TOGETHER]
        emptied |= {part: _emptied(warehouse, part) for part in lot if not load_register(warehouse)[part].is_present}
        with warehouse.lake.turn(REGISTER):
            register = load_register(warehouse)
            left = [part for part in lot if part in emptied and not register[part].is_present]
            retired = {part: replace(register[part], is_retired=True) for part in left}
            _save_register(warehouse, {**register, **retired}.values())
    refresh_catalog(warehouse)
    return emptied


def _emptied(warehouse: Warehouse, part: PartKey) -> list[str]:
    """Empty every partitioned table of a part. Returns their names."""
    emptied = []
    for name, table in sorted(warehouse.tables.items()):
        if table.is_partitioned and not table.is_view and warehouse.lake.exists(table, part):
            with warehouse.lake.stage(table, part) as staged:
                write_table(staged.path, table, [], stamps=RETIRED.metadata)
                warehouse.lake.publish(staged)
            emptied.append(name)
    return emptied


def source_paths(settings: Settings, source: SourceSettings) -> list[str]:
    """Absolute paths or URLs of a source; `sample://web` is drawn first if it is not there."""
    resolvers = {"sample": partial(_sample_folder, sample_cache(settings))}
    return [settings.resolve(resolve_path(path, resolvers=resolvers)) for path in source.paths]


def sample_cache(settings: Settings) -> Path:
    """Local folder of what this project draws itself: in the warehouse, or beside the settings if that is remote."""
    root = settings.warehouse_root
    return Path(settings.home / "sample" if "://" in root else root) / "sample"


def sample_effect(settings: Settings) -> float:
    """The effect of the synthetic web of the settings (laionet_assets/sample/causes.py), of its curated sets too."""
    paths = [path for source in settings.sources for path in source.paths]
    drawn = [path.removeprefix(SAMPLE) for path in paths if path.startswith(SAMPLE)]
    return next((float(options["effect"]) for options in map(_sample_options, drawn) if "effect" in options), WHOLE)


def _sample_folder(cache: Path, name: str) -> Path:
    """The folder behind `sample://<name>`: `web`, or `web?parts=1&rows=300&effect=0` for one of another size or effect,
    in a cache of its own.
    """
    options = _sample_options(name)
    cache = cache / "-".join(f"{value}-{key}" for key, value in options.items()) if options else cache
    cache.mkdir(parents=True, exist_ok=True)
    return sample_web_folder(cache, **options)


def _sample_options(name: str) -> dict[str, Any]:
    """Parts, rows and effect, as far as a name says them, sorted. Raises UserError."""
    kind, _, query = name.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = {key: _OPTIONS[key](value) for key, value in pairs if key in _OPTIONS}
    is_known = len(options) == len(pairs) and None not in options.values() and bool(query) == bool(pairs)
    if kind != "web" or not is_known:
        raise UserError(
            f"{SAMPLE}{name}: expected sample://web, or with some of parts, rows and effect: "
            "sample://web?parts=1&rows=300&effect=0.5 (at least 1 part, 100 rows a part, an effect from 0 to 1)"
        )
    return dict(sorted(options.items()))


def _at_least(least: int, text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) >= least else None


def _share(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[01]|0?\.[0-9]+|1\.0*", text) else None


_OPTIONS: Mapping[str, Callable[[str], float | None]] = {
    "parts": partial(_at_least, 1),
    "rows": partial(_at_least, 100),
    "effect": _share,
}
"""Values of the options of sample://web; None for what is none."""


def _look_at_source(
    settings: Settings, source: SourceSettings, before: Mapping[PartKey, RegisteredPart]
) -> _SourceLook:
    known = {part.part: part for part in before.values() if part.source == source.name}
    try:
        found = discover(
            source.name, source.adapter, source_paths(settings, source), storage_options=source.storage_options
        )
    except NoPartsError as error:
        if not known:
            return _SourceLook({}, problems=[str(error)])
        found = Discovery((), {}, (str(error),))
    except UserError as error:
        kept = {part.key: part for part in known.values()}
        problem = str(error) + ("; its parts stay as they are" if kept else "")
        return _SourceLook(kept, unread=kept, problems=[problem])
    named = {part.path: part.part for part in known.values()}
    files: dict[str, PartFile] = {}
    problems = list(found.refused.values())
    for file in sorted(found.files, key=lambda file: file.path not in named):
        part = named.get(file.path, file.part)
        if part in files:
            problems.append(f"source {source.name}: {file.path}: part {part} is {files[part].path}; rename the file")
        else:
            files[part] = file
    ordinals, clashes = assign_ordinals({name: part.ordinal for name, part in known.items()}, list(files))
    problems += [f"source {source.name}: {files[part].path} is left out: {why}" for part, why in clashes.items()]
    parts = {
        PartKey(source.name, name): RegisteredPart(
            source=source.name,
            part=name,
            ordinal=ordinals[name],
            path=file.path,
            size_bytes=file.size_bytes,
            signature=file.signature,
            departures=known[name].departures if name in known else 0,
        )
        for name, file in files.items()
        if name in ordinals
    }
    unread = {part.key: part for name, part in known.items() if name in found.refused}
    left = {
        part.key: replace(part, is_present=False, departures=part.departures + part.is_present)
        for part in known.values()
        if part.key not in parts and part.key not in unread
    }
    return _SourceLook({**left, **unread, **parts}, unread, problems, found.notes)


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
