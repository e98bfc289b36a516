"""What pydantic found wrong, in words of YAML: one line a problem, with the path of its key as it stands in the file,
what was found, what was expected and, where that is not all, what to do.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from laionet_assets.references import masked
from laionet_assets.settings.configuration import Settings
from laionet_assets.settings.words import Kind, Place, keys_of, place_of

_SHOWN = 80
"""Characters of a found value."""
_PLAIN = re.compile(r"[\w./:-]{1,80}")
"""Text that needs no quotes in a list."""


def problems_of(error: ValidationError) -> list[str]:
    """The problems that an attempt to make `Settings` ran into."""
    return [line for place, item in _root_causes(error.errors()) for line in _describe(place, item)]


def _root_causes(items: Sequence[Mapping[str, Any]]) -> list[tuple[Place, Mapping[str, Any]]]:
    """Each with its place; without those of a list that is wrong only because an entry of it is, and one a place:
    pydantic has one for each alternative of a union.
    """
    placed: dict[tuple[str, bool], tuple[Place, Mapping[str, Any]]] = {}
    for item in items:
        place = place_of(item["loc"], Settings)
        placed.setdefault((place.path, place.is_key), (place, item))
    paths = [path for path, _ in placed]
    return [
        found
        for (path, _), found in placed.items()
        if not path or not any(other.startswith((f"{path}.", f"{path}[")) for other in paths)
    ]


def _describe(place: Place, item: Mapping[str, Any]) -> list[str]:
    kind, found = item["type"], item.get("input")
    if kind == "value_error":  # raised here, and says all of it
        lines = item["msg"].removeprefix("Value error, ").split("\n")
        return [f"{place.path}: {line}" if place.path else line for line in lines]
    if place.kind is None:
        return [f"{place.path}: unknown key; {_known_keys(item['loc'])}"]
    if kind == "missing":
        return [f"{place.path}: missing, and it has no default; expected {place.kind.words(article=True)}"]
    if place.is_key:
        return [f"{place.path}: found a key that is {_of_kind(found)}, expected text; write it in quotes"]
    is_secret = "storage_options" in item["loc"]
    said = _of_kind(found) if is_secret else _in_yaml(found)
    advice = _advice(place, found, is_secret=is_secret)
    return [f"{place.path}: found {said}, expected {place.kind.words(article=True)}{advice}"]


def _known_keys(location: Sequence[str | int]) -> str:
    kind = place_of(location[:-1], Settings).kind
    known = list(keys_of(kind.section)) if kind is not None and kind.section is not None else []
    close = get_close_matches(str(location[-1]), known, n=1)
    return (f"did you mean {close[0]}? " if close else "") + f"known keys here: {', '.join(known)}"


def _advice(place: Place, found: Any, *, is_secret: bool) -> str:
    """What to do, with what divides it from the sentence before."""
    kind = place.kind or Kind(str)
    close = get_close_matches(str(found).lower(), [choice.lower() for choice in kind.choices], n=1)
    if close:
        return f"; did you mean {next(choice for choice in kind.choices if choice.lower() == close[0])}?"
    if found is None and place.field is not None and not place.field.is_required():
        return "; leave the key out to have its default"
    section = kind.section or (kind.item.section if kind.item is not None else None)
    if section is not None:
        if isinstance(found, Mapping):
            return "; write a dash before each entry"
        return f"; {'its keys' if kind.section else 'keys of each'}: {', '.join(keys_of(section))}"
    is_scalar = isinstance(found, str | int | float) and not isinstance(found, bool) and found != ""
    if kind.item is not None and is_scalar and not is_secret and not _is_text(kind):
        text = masked(found) if isinstance(found, str) else _in_yaml(found)
        return f"; write [{text}]" if _PLAIN.fullmatch(text) else "; write it in [ ]"
    if _is_text(kind) and found is not None and not isinstance(found, str | list | tuple | Mapping):
        return "; write it in quotes"
    return ""


def _is_text(kind: Kind) -> bool:
    return any(each.annotation in (str, Path) for each in kind.alternatives)


def _of_kind(found: Any) -> str:
    """What kind of value it is, for those that may hold a secret."""
    if found is None or isinstance(found, bool):
        return _in_yaml(found)
    kinds = ((str, "text"), (int | float, "a number"), (Mapping, "a mapping"), (list | tuple, "a list"))
    return next((words for kind, words in kinds if isinstance(found, kind)), "a date")


def _in_yaml(found: Any) -> str:
    """The value as YAML writes it on one line, text in quotes, without passwords, and not too long."""
    if isinstance(found, str):
        text = repr(masked(found))
    else:
        plain = list(found) if isinstance(found, tuple) else found
        text = masked(
            yaml.safe_dump(plain, default_flow_style=True, width=10**9, sort_keys=False).removesuffix("...\n")
        )
        text = text.strip()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
