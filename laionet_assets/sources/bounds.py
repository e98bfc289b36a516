"""Bounds: what a row must satisfy to be a pair. Rows that break one go to raw.quarantine with the reason.

Belongs here: the kinds of bounds and the ones that all adapters share. Does not belong here: where a column comes from
(`resolution`), nor what becomes of a pair afterwards: a bound marks what cannot be true or cannot be used at all, never
what a recipe may want to drop.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

MAX_CAPTION_CHARACTERS = 32_768
MAX_INTEGER = 2**31 - 1


class Columns(Protocol):
    """SQL of the normalised columns of a file."""

    def has(self, column: str) -> bool: ...
    def text(self, column: str) -> str: ...
    def number(self, column: str) -> str: ...
    def is_number(self, column: str) -> str: ...


@dataclass(frozen=True)
class Bound(ABC):
    """A rule over normalised columns. `reason` is what raw.quarantine says of a row that breaks it."""

    reason: str
    columns: tuple[str, ...]

    def applies(self, columns: Columns) -> bool:
        """Whether the file has any column that the rule is about."""
        return any(columns.has(column) for column in self.columns)

    @abstractmethod
    def holds(self, columns: Columns) -> str:
        """SQL condition, true or false and never null, that a row within the bound satisfies."""

    @abstractmethod
    def value(self, columns: Columns) -> str:
        """SQL text that shows what broke the rule."""


@dataclass(frozen=True)
class Present(Bound):
    """The text is there. An empty one is, unless `allow_empty` is false."""

    allow_empty: bool = True

    def holds(self, columns: Columns) -> str:
        tests = [f"{columns.text(column)} is not null" for column in self.columns]
        if not self.allow_empty:
            tests += [f"{columns.text(column)} <> ''" for column in self.columns]
        return f"({' and '.join(tests)})"

    def value(self, columns: Columns) -> str:
        return columns.text(self.columns[0])


@dataclass(frozen=True)
class AtMost(Bound):
    """The text has at most so many characters. Counting is needed only for texts of more bytes than that."""

    characters: int = MAX_CAPTION_CHARACTERS

    def holds(self, columns: Columns) -> str:
        text = columns.text(self.columns[0])
        return f"coalesce(strlen({text}) <= {self.characters} or length({text}) <= {self.characters}, true)"

    def value(self, columns: Columns) -> str:
        return f"length({columns.text(self.columns[0])})::varchar"


@dataclass(frozen=True)
class Between(Bound):
    """Every number that is there lies in [low, high]; a text that is no number does not."""

    low: float = 0
    high: float = 1

    def holds(self, columns: Columns) -> str:
        present = [column for column in self.columns if columns.has(column)]
        tests = [f"coalesce({columns.number(column)} between {self.low} and {self.high}, true)" for column in present]
        tests += [test for column in present if (test := columns.is_number(column)) != "true"]
        return f"({' and '.join(tests)})"

    def value(self, columns: Columns) -> str:
        present = [column for column in self.columns if columns.has(column)]
        return " || ' x ' || ".join(f"coalesce({columns.text(column)}, 'null')" for column in present)


BOUNDS: tuple[Bound, ...] = (
    Present("caption_missing", ("caption",)),
    AtMost("caption_too_long", ("caption",)),
    Present("url_missing", ("url",), allow_empty=False),
    Between("size_out_of_bounds", ("width", "height"), low=1, high=MAX_INTEGER),
    Between("similarity_out_of_bounds", ("image_text_similarity",), low=-1, high=1),
    Between("punsafe_out_of_bounds", ("punsafe",)),
    Between("pwatermark_out_of_bounds", ("pwatermark",)),
)
