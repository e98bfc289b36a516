"""Resolution: from the columns that a file has to the SQL of the normalised ones.

Belongs here: choosing an adapter by the columns, every complaint about columns, and safe casts. Does not belong here:
opening files (`formats`), whole SELECTs (`reading`).

NaN counts as missing, as pandas means it, and so do the words that programs write for nothing (NA, NaN, None, null)
and, but for captions and addresses, empty text; a format that cannot say that a value is missing has no such words.
Numbers may be stored as any number type, or as text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from laionet_assets.sources.adapters import AUTO, GENERIC, adapter_named, adapters
from laionet_assets.sources.adapters.base import COLUMN_TYPES, NUMBER_COLUMNS, Adapter, Greatest, Origin
from laionet_assets.sources.bounds import Bound
from laionet_assets.sources.errors import SourceError
from laionet_assets.sources.file_format import STRICT, Format, Reading, SourceColumn, column_at
from laionet_assets.sources.formats import format_of
from laionet_assets.warehouse.sql import literals

MISSING = ("na", "nan", "none", "null", "<na>")
"""What programs write for nothing, in lower case."""
PUBLISHED_TEXT = frozenset({"caption", "url"})
"""Columns in which an empty text is one."""
_TEXT = frozenset({"VARCHAR"})
_NOTHING = frozenset({'"NULL"', "NULL"})
_WHOLE = re.compile(r"^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$")
_FRACTION = re.compile(r"^(FLOAT|DOUBLE|DECIMAL\(.*\))$")


@dataclass(frozen=True)
class Resolution:
    """How the normalised columns are read from one file. `columns` are the file's, `origins` where each normalised one
    comes from, by the names in the file.
    """

    adapter: Adapter
    format: Format
    columns: tuple[SourceColumn, ...]
    origins: Mapping[str, Origin]
    reading: Reading

    @property
    def used(self) -> tuple[int, ...]:
        """Places of the columns of the file that are read."""
        names = {name for origin in self.origins.values() for name in _parts_of(origin)}
        return tuple(place for place, column in enumerate(self.columns) if column.name in names)

    def relation(self, path: str, *, rejects: str | None = None) -> str:
        """What to select the file's columns from; `rejects` as `Format.relation` has it."""
        return self.format.relation(path, self.columns, self.reading, used=self.used, rejects=rejects)

    def has(self, column: str) -> bool:
        """Whether the file has anything for a normalised column."""
        return column in self.origins

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The bounds that this file's rows must keep."""
        return tuple(
            bound for bound in (*self.format.bounds(self.reading), *self.adapter.bounds) if bound.applies(self)
        )

    def value(self, column: str) -> str:
        """SQL of a normalised column in the type that raw.pairs has; a typed null if the file has nothing for it."""
        kind = COLUMN_TYPES[column]
        if not self.has(column):
            return f"null::{kind}"
        if kind == "DOUBLE":
            return f"cast({self.number(column)} as double)"
        return f"try_cast({self.number(column)} as integer)" if kind == "INTEGER" else self.text(column)

    def text(self, column: str) -> str:
        """SQL of a normalised column as text; whole numbers stored as fractions have no decimals."""
        origin = self.origins[column]
        if isinstance(origin, Greatest):
            return f"cast({self.number(column)} as varchar)"
        kind, name = self._stored(origin)
        if kind in _TEXT and not self.format.can_miss:
            return name
        if kind in _TEXT:
            return _without_missing(name, is_empty_missing=column not in PUBLISHED_TEXT)
        if _FRACTION.match(kind) and column not in NUMBER_COLUMNS:
            number = _without_nan(name)
            whole = f"case when {number} = trunc({number}) then try_cast({number} as hugeint) end"
            return f"coalesce(cast({whole} as varchar), cast({number} as varchar))"
        return f"cast({name} as varchar)"

    def number(self, column: str) -> str:
        """SQL of a normalised column as a number, null where there is none."""
        origin = self.origins[column]
        if isinstance(origin, Greatest):
            return f"greatest({', '.join(self._number(name) for name in origin.columns)})"
        return self._number(origin)

    def is_number(self, column: str) -> str:
        """SQL condition, never null: the value is missing or can be read as a number."""
        origin = self.origins[column]
        names = origin.columns if isinstance(origin, Greatest) else (origin,)
        texts = [_without_missing(name) for kind, name in map(self._stored, names) if kind in _TEXT]
        return " and ".join(f"({text} is null or try_cast({text} as double) is not null)" for text in texts) or "true"

    def _number(self, origin: str) -> str:
        kind, name = self._stored(origin)
        if _WHOLE.match(kind):
            return name
        return _without_nan(_without_missing(name) if kind in _TEXT else name)

    def _stored(self, origin: str) -> tuple[str, str]:
        """Type of a column of the file, and what the relation calls it."""
        place = next(place for place, column in enumerate(self.columns) if column.name == origin)
        return self.columns[place].type, column_at(place)


def _without_nan(name: str) -> str:
    return f"nullif(try_cast({name} as double), 'nan'::double)"


def _without_missing(name: str, *, is_empty_missing: bool = True) -> str:
    """SQL of a text, null where it says that there is none. Long texts are not looked at."""
    words = literals(("", *MISSING) if is_empty_missing else MISSING)
    return f"case when strlen({name}) > {max(map(len, MISSING))} or lower({name}) not in {words} then {name} end"


def resolve(
    adapter: Adapter,
    columns: Sequence[SourceColumn],
    *,
    path: str,
    reading: Reading = STRICT,
    mapping: Mapping[str, str] | None = None,
) -> Resolution:
    """Where an adapter finds its columns in a file. `mapping`: normalised column -> the column of the file that it is
    read from, whatever the adapter says.

    Raises SourceError with every complaint at once: columns that are missing, ambiguous or of a type that cannot be
    read, what was found, and the adapters that would fit.
    """
    form = format_of(path)
    adapter = _mapped(adapter, mapping or {})
    if form not in adapter.formats or form is None:
        expected = ", ".join(adapter.endings)
        raise SourceError(
            f"{path}: adapter {adapter.name} reads {expected}; rename the file, or choose another adapter"
        )
    if adapter.layout is not None:
        columns = _laid_out(adapter, columns, path)
    origins, problems = _origins(adapter, columns)
    if problems:
        raise SourceError(_complaint(f"{path}: adapter {adapter.name} cannot read it", problems, columns, form))
    return Resolution(adapter=adapter, format=form, columns=tuple(columns), origins=origins, reading=reading)


def detect(columns: Sequence[SourceColumn], *, path: str, mapping: Mapping[str, str] | None = None) -> Adapter:
    """The one adapter that the columns of a file identify; where none does and the settings map columns, the generic
    one.

    Raises SourceError that lists what was found if none fits, or several do.
    """
    form = format_of(path)
    if form is None:
        known = ", ".join(sorted({ending for adapter in adapters().values() for ending in adapter.endings}))
        raise SourceError(f"{path}: found another ending than {known}, so the adapter cannot be detected")
    fitting = fitting_adapters(columns, form, mapping=mapping)
    if len(fitting) == 1:
        return adapter_named(fitting[0].name)
    if fitting:
        problems = [f"these adapters all fit: {_names(fitting)}; name one of them as `adapter`"]
        raise SourceError(_complaint(f"{path}: the adapter is ambiguous", problems, columns, None))
    if mapping and form in adapter_named(GENERIC).formats:
        return adapter_named(GENERIC)
    named = [adapter for adapter in adapters().values() if form in adapter.formats and _is_identified(adapter, columns)]
    if named:
        problems = [f"{problem} (adapter {each.name})" for each in named for problem in _origins(each, columns)[1]]
        raise SourceError(_complaint(f"{path}: its columns cannot be read", problems, columns, None))
    raise SourceError(_complaint(f"{path}: no adapter is identified by these columns", [], columns, form))


def choose(
    name: str, columns: Sequence[SourceColumn], *, path: str, mapping: Mapping[str, str] | None = None
) -> Adapter:
    """The adapter of that name, or the one detected for `auto`. Raises SourceError."""
    return detect(columns, path=path, mapping=mapping) if name == AUTO else adapter_named(name)


def fitting_adapters(
    columns: Sequence[SourceColumn], form: Format, *, mapping: Mapping[str, str] | None = None
) -> list[Adapter]:
    """Adapters that the columns of a file of this format identify and that can read it."""
    named = [_mapped(adapter, mapping or {}) for adapter in adapters().values() if form in adapter.formats]
    return [each for each in named if _is_identified(each, columns) and not _origins(each, columns)[1]]


def _mapped(adapter: Adapter, mapping: Mapping[str, str]) -> Adapter:
    """An adapter that reads some columns from where the settings say, and must have them."""
    if not mapping:
        return adapter
    columns = {**adapter.columns, **{column: (name,) for column, name in mapping.items()}}
    return replace(adapter, columns=columns, required=(*dict.fromkeys((*adapter.required, *mapping)),))


def _is_identified(adapter: Adapter, columns: Sequence[SourceColumn]) -> bool:
    names = {column.name.lower() for column in columns}
    if adapter.layout is not None:
        return tuple(column.name for column in columns) == adapter.layout
    is_excluded = any(name.lower() in names for name in adapter.never_with)
    return not is_excluded and all(any(name.lower() in names for name in group) for group in adapter.identified_by)


def _readers(columns: Sequence[SourceColumn], form: Format) -> list[Adapter]:
    """Adapters that find all that they require, whether or not the columns identify them."""
    return [
        adapter
        for adapter in adapters().values()
        if form in adapter.formats
        and (not _origins(adapter, columns)[1] if adapter.layout is None else len(columns) == len(adapter.layout))
    ]


def _laid_out(adapter: Adapter, columns: Sequence[SourceColumn], path: str) -> tuple[SourceColumn, ...]:
    """The columns of a file without a header, named as the adapter says. Raises SourceError for another order."""
    layout = adapter.layout or ()
    found = [column.name for column in columns]
    if len(found) != len(layout) or (set(found) == set(layout) and tuple(found) != layout):
        problems = [f"expected in this order: {', '.join(layout)}"]
        raise SourceError(
            _complaint(f"{path}: adapter {adapter.name} cannot read it", problems, columns, format_of(path))
        )
    return tuple(replace(column, name=name) for column, name in zip(columns, layout, strict=True))


def _origins(adapter: Adapter, columns: Sequence[SourceColumn]) -> tuple[dict[str, Origin], list[str]]:
    """Where each normalised column comes from, and all that is wrong with the columns."""
    origins: dict[str, Origin] = {}
    problems: list[str] = []
    for name in COLUMN_TYPES:
        accepted = adapter.columns.get(name, ())
        found = [each for each in (_origin_in(columns, origin) for origin in accepted) if each is not None]
        alike = [_named(columns, each) for origin in accepted for each in _parts_of(origin)]
        double = [column.name for each in alike if len(each) > 1 for column in each]
        if len(found) > 1 or double:
            names = double or [*map(str, found)]
            problems.append(
                f"{name} is ambiguous: found {', '.join(names)}; keep one of them"
                + ("" if double else f", or say which in the settings: columns: {{{name}: {names[0]}}}")
            )
        elif found:
            origins[name] = found[0]
            problems += _type_problems(name, [_named(columns, each)[0] for each in _parts_of(found[0])])
        elif name in adapter.required:
            problems.append(f"{name} is missing: expected a column {' or '.join(map(str, accepted))}")
    return origins, problems


def _named(columns: Sequence[SourceColumn], name: str) -> list[SourceColumn]:
    """Columns of that name; of another case where none has it as written."""
    exact = [column for column in columns if column.name == name]
    return exact or [column for column in columns if column.name.lower() == name.lower()]


def _origin_in(columns: Sequence[SourceColumn], origin: Origin) -> Origin | None:
    """An origin by the names in the file; None if the file has nothing of it."""
    found = [name.name for each in _parts_of(origin) for name in _named(columns, each)[:1]]
    if not found:
        return None
    return Greatest(tuple(found)) if isinstance(origin, Greatest) else found[0]


def _parts_of(origin: Origin) -> tuple[str, ...]:
    return origin.columns if isinstance(origin, Greatest) else (origin,)


def _type_problems(name: str, columns: Sequence[SourceColumn]) -> Iterator[str]:
    for column in columns:
        is_number = bool(_WHOLE.match(column.type) or _FRACTION.match(column.type))
        is_text = column.type in _TEXT | _NOTHING
        allows_number = name not in ("caption", "url")
        if not (is_text or (is_number and allows_number) or (name == "source_key" and column.type == "UUID")):
            expected = "a number" if name in NUMBER_COLUMNS else "text"
            yield f"{name} cannot be read: column {column.name} is {column.type}, expected {expected}"


def _complaint(what: str, problems: Sequence[str], columns: Sequence[SourceColumn], form: Format | None) -> str:
    lines = [what, *(f"  {problem}" for problem in problems)]
    lines.append("  found columns: " + ", ".join(f"{column.name} {column.type}" for column in columns))
    if form is not None:
        fitting, readers = fitting_adapters(columns, form), _readers(columns, form)
        if fitting:
            lines.append(f"  adapters that would fit: {_names(fitting)}")
        elif readers:
            lines.append(
                f"  adapters that could read it, though nothing identifies them: {_names(readers)}; "
                "name one of them as `adapter`"
            )
        else:
            known = [adapter for adapter in adapters().values() if form in adapter.formats]
            lines.append("  no adapter fits; they are identified by")
            lines += [f"    {adapter.name}: {_identified_by(adapter)}" for adapter in known]
    return "\n".join(lines)


def _identified_by(adapter: Adapter) -> str:
    if adapter.layout is not None:
        return ", ".join(adapter.layout) + " in this order, without a header"
    return ", ".join(" or ".join(group) for group in adapter.identified_by)


def _names(found: Sequence[Adapter]) -> str:
    return ", ".join(adapter.name for adapter in found)
