"""Codes that make the same rows although their digests differ: declared by somebody, with a reason.

Belongs here: the declarations, and what follows from them. Does not belong here: digests (`source_code`,
`sqlmodels.parse`), what is out of date (`versions`).

Two lists are read. same_rows.json comes with this package and holds everywhere; it also says what the code of
commit cd80978, the last before there were digests of code, was called, and which digests make what it made.
accepted.json lies in a warehouse and holds there: `laionet accept` writes it. A declaration names both digests,
so that it never covers a later edit.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from laionet_assets.warehouse.warehouse import Code, Warehouse

ACCEPTED_FILE = "accepted.json"
SHIPPED_FILE = Path(__file__).with_name("same_rows.json")
BEFORE_DIGESTS = "cd80978"
"""Stands for the digest of code from before there were any."""


@dataclass(frozen=True)
class Accepted:
    """One edit that was declared to keep the rows of a table: of which of its codes, between which digests."""

    table: str
    code: str
    before: str
    after: str
    because: str
    at: str
    by: str


@dataclass(frozen=True)
class Shipped:
    """Digests of a code that make the same rows in every warehouse, each with the reason.

    `was` is what commit cd80978 called it: the beginning of what a table's code version was made of, or the label of a
    code in the rows; nothing for a code that it did not have. `same` makes the rows of then. What makes other rows is
    in `later`: those of a group make the same as each other, the oldest first.
    """

    code: str
    was: tuple[str, ...]
    same: Mapping[str, str]
    later: tuple[Mapping[str, str], ...] = ()

    @property
    def groups(self) -> tuple[Mapping[str, str], ...]:
        """Digests that make the same rows, group by group."""
        return (self.same, *self.later)


@dataclass(frozen=True)
class SameRows:
    """What is declared, in the package and in a warehouse."""

    shipped: Mapping[str, Shipped]
    accepted: Sequence[Accepted]

    def holds(self, table: str, code: str, digest: str, other: str) -> bool:
        """Whether a code of a table makes the same rows with both digests."""
        return bool(self._kin(table, code, digest) & _forms(other))

    def before_digests(self, codes: Iterable[str]) -> dict[str, Code]:
        """The codes of commit cd80978, of these names."""
        known = (self.shipped[name] for name in codes if name in self.shipped)
        return {one.code: Code(BEFORE_DIGESTS, one.was[0]) for one in known if one.was}

    def first_label(self, code: str, digest: str) -> str:
        """The label that a code goes by in new rows: that of cd80978 if it makes the same, else the oldest digest that
        does.
        """
        shipped = self.shipped.get(code)
        if shipped is None:
            return digest
        if _forms(digest) & _forms(*shipped.same):
            return shipped.was[0]
        return next((next(iter(group)) for group in shipped.later if _forms(digest) & _forms(*group)), digest)

    def behind(self, table: str, code: str, digest: str) -> list[Accepted]:
        """Declarations of the warehouse that lead to a digest: those that name it, or else those that it takes."""
        about = [each for each in self.accepted if (each.table, each.code) == (table, code)]
        named = [each for each in about if _forms(each.after) & _forms(digest)]
        return named or [each for each in about if _forms(each.after) & self._kin(table, code, digest)]

    def _kin(self, table: str, code: str, digest: str) -> frozenset[str]:
        """All digests that make the same rows as this one."""
        groups = [_forms(each.before, each.after) for each in self.accepted if (each.table, each.code) == (table, code)]
        if code in self.shipped:
            groups += [_forms(BEFORE_DIGESTS, *self.shipped[code].same)] if self.shipped[code].was else []
            groups += [_forms(*group) for group in self.shipped[code].later]
        kin, size = _forms(digest), 0
        while len(kin) > size:
            size = len(kin)
            kin = kin.union(*(group for group in groups if group & kin))
        return kin


def same_rows(warehouse: Warehouse) -> SameRows:
    """What is declared of a warehouse."""
    return SameRows(shipped_list(), accepted_list(warehouse))


def accepted_list(warehouse: Warehouse) -> list[Accepted]:
    """What `laionet accept` wrote, the oldest first."""
    text = warehouse.lake.read_small(ACCEPTED_FILE)
    return [Accepted(**each) for each in json.loads(text)["accepted"]] if text else []


def accept(warehouse: Warehouse, declarations: Iterable[Accepted]) -> None:
    """Add declarations to those of a warehouse."""
    with warehouse.lake.turn(ACCEPTED_FILE):
        every = [*accepted_list(warehouse), *declarations]
        text = json.dumps({"accepted": [asdict(each) for each in every]}, indent=1, ensure_ascii=False)
        warehouse.lake.write_small(ACCEPTED_FILE, text + "\n")


@cache
def shipped_list() -> Mapping[str, Shipped]:
    """What comes with the package, by code."""
    return {
        each["code"]: Shipped(each["code"], tuple(each["was"]), each["same"], tuple(each.get("later", ())))
        for each in json.loads(SHIPPED_FILE.read_text(encoding="utf-8"))
    }


def ship(digests: Mapping[str, str], *, because: str, like: Mapping[str, str] | None = None) -> None:
    """Add digests, by code, to the list of the package: they make what cd80978 made, or what the digests `like` make.

    Raises KeyError for a code that cd80978, or `like`, does not have.
    """
    shipped = dict(shipped_list())
    for code, digest in digests.items():
        if like is None:
            if not shipped[code].was:
                raise KeyError(code)
            shipped[code] = _with(shipped[code], 0, digest, because)
            continue
        one = shipped.get(code, Shipped(code, (), {}))
        places = [i for i, group in enumerate(one.groups) if _forms(like[code]) & _forms(*group)]
        if not places:
            one = replace(one, later=(*one.later, {like[code]: "As first made."}))
            places = [len(one.later)]
        shipped[code] = _with(one, places[0], digest, because)
    lines = [json.dumps(_as_json(each), ensure_ascii=False) for _, each in sorted(shipped.items())]
    SHIPPED_FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    shipped_list.cache_clear()


def _with(one: Shipped, place: int, digest: str, because: str) -> Shipped:
    """An entry with one more digest in one of its groups, unless it is there."""
    groups = list(one.groups)
    if not _forms(digest) <= _forms(*groups[place]):
        groups[place] = {**groups[place], digest: because}
    return replace(one, same=groups[0], later=tuple(groups[1:]))


def _as_json(one: Shipped) -> dict[str, Any]:
    return {key: value for key, value in asdict(one).items() if key != "later" or value}


def _forms(*digests: str) -> frozenset[str]:
    """SQL has two digests in one, with a slash between them, either of which will do."""
    return frozenset(form for digest in digests for form in digest.split("/"))
