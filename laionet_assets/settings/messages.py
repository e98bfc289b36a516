"""What pydantic found wrong, in words: one line a problem, each with the path of its key as it stands in the file."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from laionet_assets.references import masked
from laionet_assets.settings.configuration import Settings

_PATTERNS = {
    "name": "expected letters, digits, '_', '-' and '.', beginning with a letter or digit",
    "memory_limit": "expected a number and a unit, such as 8GB or 512MiB",
}
"""What the pattern of a key means, in words."""


def problems_of(error: ValidationError) -> list[str]:
    """The problems that an attempt to make `Settings` ran into."""
    return [line for item in _root_causes(error.errors()) for line in _describe(item)]


def _root_causes(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the errors of a list that is wrong only because an entry of it is."""
    locations = [item["loc"] for item in items]
    return [
        item
        for item in items
        if not any(len(loc) > len(item["loc"]) and loc[: len(item["loc"])] == item["loc"] for loc in locations)
    ]


def _describe(item: Mapping[str, Any]) -> list[str]:
    location = _key_path(item["loc"])
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return message.split("\n")
    if kind == "extra_forbidden":
        known = _known_keys(item["loc"])
        close = get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return [f"{location}: unknown key; {hint}known keys here: {', '.join(known)}"]
    if kind == "missing":
        return [f"{location}: missing; it has no default"]
    if kind == "string_pattern_mismatch":
        message = _PATTERNS.get(str(item["loc"][-1]), _PATTERNS["name"])
    if "storage_options" in item["loc"] or "password" in message:  # what was found may be a secret
        return [f"{location}: {line}" for line in message.split("\n")]
    return [f"{location}: {message} (found {masked(repr(item.get('input')))[:80]})"]


def _key_path(location: Sequence[str | int]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else (f".{step}" if path else str(step))
    return path


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """Keys that the model at the parent of `location` accepts."""
    model: Any = Settings
    for step in location[:-1]:
        if isinstance(step, int):
            continue
        annotation = model.model_fields[step].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = arguments[0] if arguments else annotation
    return [name for name in model.model_fields if name != "config_path"]
