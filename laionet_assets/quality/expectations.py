"""What a table must fulfil: the `expectations` list of a yml as frozen values.

Here: reading the list, naming each check, and every error that shows without running a query. Not here: Great
Expectations itself (`gx_backend`), which is never imported by this module. The names of the types that it knows come
from its file listing, which costs milliseconds; its own import costs seconds.
"""

import difflib
import importlib.util
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from laionet_assets.errors import UserError

Severity = Literal["critical", "warning"]

UNEXPECTED_ROWS = "unexpected_rows"
BATCH = "{batch}"
GRAIN_IS_UNIQUE = "grain_is_unique"
GRAIN_IS_NOT_NULL = "grain_is_not_null"
GRAIN_CHECKS = (GRAIN_IS_NOT_NULL, GRAIN_IS_UNIQUE)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COMMON_KEYS = {"type", "name", "severity", "description", "protects"}
_KEYS = {*_COMMON_KEYS, "kwargs"}
_UNEXPECTED_ROWS_KEYS = {*_COMMON_KEYS, "query"}
_COLUMN_KWARGS = ("column", "column_A", "column_B")


class QualityError(UserError):
    """An expectation, a relation or a docs folder that cannot be used as given."""


@dataclass(frozen=True)
class Expectation:
    """One rule about a table.

    name: of the check; lower snake case, unique within the table. type: a Great Expectations name (`expect_...`), or
    `unexpected_rows`: every row that the query returns breaks the rule. kwargs: as Great Expectations takes them; for
    `unexpected_rows` the one key `query`, whose `{batch}` stands for the table. severity: `critical` stops the table
    from being published, `warning` does not. written_severity: that of the yml, where the settings chose another.
    protects: what depends on it (removals, block lists ...), for rules whose severity nobody may choose. where: the
    place where the rule is written, for messages.
    """

    name: str
    type: str
    kwargs: Mapping[str, Any]
    severity: Severity = "critical"
    description: str = ""
    written_severity: Severity | None = None
    protects: str = ""
    where: str = field(default="", compare=False)

    @property
    def is_critical(self) -> bool:
        return self.severity == "critical"

    @property
    def severity_in_words(self) -> str:
        """The severity; where the settings chose it, with that of the yml: `warning (laionet.yaml; was critical)`."""
        chosen = f" (laionet.yaml; was {self.written_severity})" if self.written_severity else ""
        return f"{self.severity}{chosen}"

    def rule(self) -> str:
        """The rule as one line: `type(key=value, ...)`, or the query with its white space folded."""
        if self.type == UNEXPECTED_ROWS:
            return " ".join(str(self.kwargs["query"]).split())
        return f"{self.type}({', '.join(f'{key}={value!r}' for key, value in self.kwargs.items())})"


def parse_expectations(raw: object, *, columns: Collection[str], where: str) -> tuple[Expectation, ...]:
    """Expectations of a yml list, in its order.

    columns: of the table; a rule about another one is an error. where: the file, named in every message.
    Raises QualityError with all mistakes of the list in one message.
    """
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise QualityError(f"{where}: expectations must be a list of mappings, found {_kind(raw)}.")
    parsed: list[Expectation] = []
    mistakes: list[str] = []
    for number, entry in enumerate(raw, start=1):
        found = list(_mistakes(entry, columns=columns))
        mistakes += [f"expectation {number}: {mistake}" for mistake in found]
        if not found:
            parsed.append(_expectation(entry, where=f"{where}, expectation {number}"))
    mistakes += _duplicates(parsed)
    if mistakes:
        raise QualityError("\n".join([f"{where}: {len(mistakes)} mistake(s) in expectations:", *_bullets(mistakes)]))
    return tuple(parsed)


def grain_expectations(grain: Sequence[str], *, where: str = "") -> tuple[Expectation, ...]:
    """The two critical checks that `grain` is a primary key: no null in it (`grain_is_not_null`), no key twice
    (`grain_is_unique`).

    Both are queries: at a million rows the uniqueness query takes a quarter of the time of
    `expect_compound_columns_to_be_unique`, which joins whole rows back to their counts. Keys are grouped by a 64-bit
    hash first and compared only where hashes meet, so the answer is exact and strings are not held in memory.
    """
    if not grain:
        raise QualityError(f"{where or 'grain'}: a grain of no columns; name the columns of the primary key.")
    key = ", ".join(_quoted(column) for column in grain)
    any_null = " or ".join(f"{_quoted(column)} is null" for column in grain)
    duplicates = (
        f"with meeting as (select hash({key}) as key_hash from {BATCH} group by all having count(*) > 1) "
        f"select {key}, count(*) as copies from {BATCH} "
        f"where hash({key}) in (select key_hash from meeting) group by {key} having count(*) > 1"
    )
    of = ", ".join(grain)
    written = f"{where}, grain" if where else "grain"
    return (
        Expectation(
            name=GRAIN_IS_NOT_NULL,
            type=UNEXPECTED_ROWS,
            kwargs={"query": f"select {key} from {BATCH} where {any_null}"},
            description=f"every row has its key ({of})",
            where=written,
        ),
        Expectation(
            name=GRAIN_IS_UNIQUE,
            type=UNEXPECTED_ROWS,
            kwargs={"query": duplicates},
            description=f"no key ({of}) occurs twice; a returned row is a key and its copies",
            where=written,
        ),
    )


def with_severities(
    expectations: Sequence[Expectation], chosen: Mapping[str, Severity]
) -> tuple[tuple[Expectation, ...], list[str]]:
    """Expectations with the severities that a user chose by name, and what cannot be done, one sentence each that
    begins with the name.
    """
    known = {expectation.name: expectation for expectation in expectations}
    problems = []
    for name, severity in chosen.items():
        if name not in known:
            problems.append(f"{name}: no such check; expected one of: {', '.join(sorted(known))}")
        elif known[name].protects and severity != known[name].severity:
            problems.append(
                f"{name}: found {severity}, but it stays {known[name].severity}: it protects {known[name].protects}"
            )
        elif severity != known[name].severity:
            known[name] = replace(known[name], severity=severity, written_severity=known[name].severity)
    return tuple(known.values()), problems


@cache
def known_types() -> frozenset[str]:
    """Names of the expectations that the installed Great Expectations ships, read from its folder without importing
    it.
    """
    spec = importlib.util.find_spec("great_expectations")
    if spec is None or not spec.submodule_search_locations:
        raise QualityError("great_expectations is not installed; run `make setup`.")
    folder = Path(next(iter(spec.submodule_search_locations)), "expectations", "core")
    return frozenset(path.stem for path in folder.glob("expect_*.py"))


def check_name(type: str, kwargs: Mapping[str, Any]) -> str:
    """Name of a check whose yml gives none: the columns, then the type without its prefix, as one snake-case word.

    `expect_column_values_to_be_in_set` on `matching` is `matching_values_to_be_in_set`.
    """
    subject = "_".join(_columns_of(kwargs))
    rule = type.removeprefix("expect_")
    if subject:
        rule = rule.removeprefix("column_")
    name = re.sub(r"\W+", "_", f"{subject}_{rule}".strip("_")).lower()
    return name if _NAME.fullmatch(name) else f"check_{name}"


def _expectation(entry: Mapping[str, Any], *, where: str) -> Expectation:
    type_ = entry["type"]
    kwargs = (
        {"query": entry["query"].strip().rstrip(";")} if type_ == UNEXPECTED_ROWS else dict(entry.get("kwargs") or {})
    )
    return Expectation(
        name=entry.get("name") or check_name(type_, kwargs),
        type=type_,
        kwargs=kwargs,
        severity=entry.get("severity", "critical"),
        description=" ".join(str(entry.get("description") or "").split()),
        protects=entry.get("protects") or "",
        where=where,
    )


def _mistakes(entry: object, *, columns: Collection[str]) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield f"must be a mapping with the key `type`, found {_kind(entry)}"
        return
    type_ = entry.get("type")
    is_query = type_ == UNEXPECTED_ROWS
    keys = _UNEXPECTED_ROWS_KEYS if is_query else _KEYS
    for key in entry:
        if key not in keys:
            yield f"unknown key {key!r}; known for {type_ or 'an expectation'}: {', '.join(sorted(keys))}"
    if not isinstance(type_, str) or not type_:
        yield f"`type` must name an expectation of Great Expectations or be {UNEXPECTED_ROWS}, found {type_!r}"
        return
    if not is_query and type_ not in known_types():
        yield f"unknown type {type_!r}{_suggestion(type_, {*known_types(), UNEXPECTED_ROWS})}"
    if (severity := entry.get("severity", "critical")) not in get_args(Severity):
        yield f"unknown severity {severity!r}; expected {' or '.join(get_args(Severity))}"
    if not isinstance(entry.get("protects", ""), str):
        yield f"`protects` must say in words what depends on the rule, found {_kind(entry['protects'])}"
    yield from _name_mistakes(entry)
    if is_query:
        yield from _query_mistakes(entry)
    else:
        yield from _kwargs_mistakes(entry.get("kwargs"), columns=columns)


def _name_mistakes(entry: Mapping[str, Any]) -> Iterator[str]:
    name = entry.get("name")
    if name is None:
        if entry.get("type") == UNEXPECTED_ROWS:
            yield f"{UNEXPECTED_ROWS} needs a `name` that says what holds when no row comes back"
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"name {name!r} must be lower snake case, such as in_equals_out"
    elif name in GRAIN_CHECKS:
        yield f"name {name!r} is taken by the check of the table's grain; choose another or drop the entry"


def _query_mistakes(entry: Mapping[str, Any]) -> Iterator[str]:
    query = entry.get("query")
    if not isinstance(query, str) or not query.strip():
        yield f"{UNEXPECTED_ROWS} needs a `query` that selects the rows that should not exist, found {query!r}"
    elif BATCH not in query:
        yield f"`query` must read the table under audit as {BATCH}; its name stands for the data already published"


def _kwargs_mistakes(kwargs: object, *, columns: Collection[str]) -> Iterator[str]:
    if kwargs is None:
        return
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        yield f"`kwargs` must be a mapping of names to values, found {_kind(kwargs)}"
        return
    for column in _columns_of(kwargs):
        if column not in columns:
            yield f"the table has no column {column!r}{_suggestion(column, columns)}"


def _columns_of(kwargs: Mapping[str, Any]) -> list[str]:
    listed = kwargs.get("column_list") or ()
    named = [kwargs[key] for key in _COLUMN_KWARGS if key in kwargs]
    return [str(column) for column in [*named, *([listed] if isinstance(listed, str) else listed)]]


def _duplicates(parsed: Sequence[Expectation]) -> list[str]:
    counts = Counter(expectation.name for expectation in parsed)
    return [
        f"{count} expectations are named {name!r} ({', '.join(_numbers(parsed, name))}); give each its own `name`"
        for name, count in counts.items()
        if count > 1
    ]


def _numbers(parsed: Sequence[Expectation], name: str) -> list[str]:
    return [expectation.where.rpartition("expectation ")[2] for expectation in parsed if expectation.name == name]


def _suggestion(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it has {', '.join(sorted(known))}" if len(known) <= 40 else ""


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:80]


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"  - {line}" for line in lines]
