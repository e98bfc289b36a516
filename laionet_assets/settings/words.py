"""What a key takes, in the words of YAML, read off its type: for messages, and for the page of all keys."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from laionet_assets.settings.values import InWords

_WITHOUT_ARTICLE = ("text", "true or false", "one of", "null")
_COUNTED = re.compile(r"^(whole number|number|path|mapping|network|name|host|list)\b")
_NONE = type(None)


@dataclass(frozen=True)
class Kind:
    """A type of the settings, and what its values must keep to."""

    annotation: Any
    metadata: tuple[Any, ...] = ()

    @classmethod
    def of(cls, field: FieldInfo) -> "Kind":
        """The kind of a field."""
        return cls(field.annotation, tuple(field.metadata))

    @property
    def alternatives(self) -> tuple["Kind", ...]:
        """Each of a union, and null; a kind that is no union alone."""
        annotation, metadata = self._bare()
        if get_origin(annotation) in (Union, UnionType):
            return tuple(each for one in get_args(annotation) for each in Kind(one, metadata).alternatives)
        return (Kind(annotation, metadata),)

    @property
    def section(self) -> type[BaseModel] | None:
        """The class of a section."""
        return next((each.annotation for each in self.alternatives if _is_section(each.annotation)), None)

    @property
    def item(self) -> "Kind | None":
        """What a list is a list of."""
        lists = [each for each in self.alternatives if get_origin(each.annotation) is tuple]
        return Kind(get_args(lists[0].annotation)[0]) if lists else None

    @property
    def value(self) -> "Kind | None":
        """What the values of a mapping without keys of its own are."""
        mappings = [each for each in self.alternatives if get_origin(each.annotation) is dict]
        return Kind(get_args(mappings[0].annotation)[1]) if mappings else None

    @property
    def is_nullable(self) -> bool:
        """Whether the key may be null."""
        return any(each.annotation is _NONE for each in self.alternatives)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of which it is one, if they are counted."""
        return tuple(
            choice
            for each in self.alternatives
            if get_origin(each.annotation) is Literal
            for choice in get_args(each.annotation)
        )

    def words(self, *, article: bool = False) -> str:
        """Such as "list of text" or "number from 0 to 1", with an article where a sentence wants one."""
        said = [self._said()] if self._said() else [each._one() for each in self.alternatives]
        if self.choices and self.is_nullable:
            said = [f"{said[0]}, null"]
        elif self._said() and self.is_nullable:
            said.append("null")
        pieces = [_with_article(each) if article else each for each in said]
        return (", or " if re.search(r" or |\d", pieces[0]) else " or ").join(pieces)

    def _bare(self) -> tuple[Any, tuple[Any, ...]]:
        annotation, metadata = self.annotation, self.metadata
        while get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            inner = [piece for each in more for piece in (each.metadata if isinstance(each, FieldInfo) else [each])]
            metadata = (*metadata, *inner)
        return annotation, metadata

    def _said(self) -> str:
        return next((each.words for each in self._bare()[1] if isinstance(each, InWords)), "")

    def _one(self) -> str:
        """In words, of what is no union."""
        annotation, origin = self.annotation, get_origin(self.annotation)
        if self._said() and annotation is not _NONE:
            return self._said()
        if origin is Literal:
            return f"one of: {', '.join(get_args(annotation))}"
        if origin is tuple:
            item = self.item or Kind(str)
            least = "one or more of: " if item.choices else "one or more "
            said = ", ".join(item.choices) or _COUNTED.sub(r"\1s", item.words())
            any_number = "any of: " if item.choices else ""
            return f"list of {least if self._limit('min_length') else any_number}{said}"
        if origin is dict:
            value = self.value or Kind(Any)
            return "mapping" if value.annotation is Any else f"mapping of text to {value.words()}"
        if _is_section(annotation):
            return "mapping"
        names = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path", _NONE: "null"}
        if annotation is ByteSize:
            return f"size{self._range()}, such as 512MiB or 50GB"
        return names[annotation] + (self._range() if annotation in (int, float) else "")

    def _limit(self, name: str) -> Any:
        return next((getattr(each, name) for each in self.metadata if getattr(each, name, None) is not None), None)

    def _range(self) -> str:
        least, most, above = (self._limit(name) for name in ("ge", "le", "gt"))
        if least is not None and most is not None:
            return f" from {_plain(least)} to {_plain(most)}"
        if above is not None:
            return f" above {_plain(above)}" + (f" and up to {_plain(most)}" if most is not None else "")
        return f" of at least {_plain(least)}" if least is not None else ""


@dataclass(frozen=True)
class Place:
    """Where something stands in the file: its path as written there, and what is expected there.

    `kind` is None under a key that there is not; `field` is None of an entry of a list or mapping.
    """

    path: str
    kind: Kind | None
    field: FieldInfo | None = None
    is_key: bool = False


def place_of(location: Sequence[str | int], settings: type[BaseModel]) -> Place:
    """The place that pydantic calls `location`, whose steps may also name an alternative of a union."""
    place = Place("", Kind(settings))
    for step in location:
        kind = place.kind
        if kind is None:
            return place
        dotted = f"{place.path}.{step}" if place.path else str(step)
        if kind.section is not None:
            field = kind.section.model_fields.get(str(step))
            place = Place(dotted, Kind.of(field) if field else None, field)
        elif kind.item is not None and isinstance(step, int):
            place = Place(f"{place.path}[{step}]", kind.item)
        elif step == "[key]":
            place = Place(place.path, kind, is_key=True)
        elif kind.value is not None:
            place = Place(dotted, kind.value)
    return place


def keys_of(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a section that stand in the file, in their order."""
    return {name: field for name, field in section.model_fields.items() if not field.exclude}


def sections_of(settings: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """All sections with their paths, a list's with `[]` behind it, each before those inside it."""

    def inside(path: str, section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
        yield path, section
        for name, field in keys_of(section).items():
            kind = Kind.of(field)
            here = f"{path}.{name}" if path else name
            if kind.section is not None:
                yield from inside(here, kind.section)
            elif kind.item is not None and kind.item.section is not None:
                yield from inside(f"{here}[]", kind.item.section)

    return inside("", settings)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _with_article(words: str) -> str:
    return words if words.startswith(_WITHOUT_ARTICLE) else f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
